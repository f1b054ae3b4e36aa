// Tests molink-serve as its clients see it: real processes on loopback, the bundled model, raw
// HTTP.
#include <csignal>
#include <future>
#include <vector>

#include "served.h"
#include "support/raw_client.h"

using namespace molink::test;

namespace {

constexpr double kLimitS = 60;

std::string stream_text(const std::string& events) {
    std::string text;
    for (std::size_t at = events.find("data: "); at != std::string::npos;
         at = events.find("data: ", at + 1)) {
        const std::string line = events.substr(at, events.find('\n', at) - at);
        if (line.find("\"text\":") != std::string::npos) text += value_of(line, "text");
    }
    return text;
}

}  // namespace

TEST_CASE("three processes serve completions, whole and streamed") {
    const Served served(2);
    REQUIRE(value_of(served.get("/v1/models").body, "id") == "kjv");
    REQUIRE(served.get("/v1/models/kjv").status == 200);
    REQUIRE(served.get("/v1/models/other").status == 404);

    const HttpAnswer whole = served.complete(completion_body(R"(,"max_tokens":24)"));
    REQUIRE(whole.status == 200);
    REQUIRE(whole.whole);
    const std::string text = value_of(whole.body, "text");
    REQUIRE(text.size() > 20);
    REQUIRE(value_of(whole.body, "completion_tokens") == "24");
    REQUIRE(value_of(whole.body, "finish_reason") == "length");

    const HttpAnswer stream = served.complete(completion_body(
        R"(,"max_tokens":24,"stream":true,"stream_options":{"include_usage":true})"));
    REQUIRE(stream.headers.find("text/event-stream") != std::string::npos);
    REQUIRE(stream_text(stream.body) == text);
    REQUIRE(value_of(stream.body, "completion_tokens") == "24");
    REQUIRE(stream.body.find("data: [DONE]\n\n") != std::string::npos);

    const std::string word = text.substr(8, 4);
    const HttpAnswer stopped =
        served.complete(completion_body(R"(,"max_tokens":24,"stop":")" + word + "\""));
    REQUIRE(value_of(stopped.body, "finish_reason") == "stop");
    REQUIRE(value_of(stopped.body, "text") == text.substr(0, text.find(word)));

    const HttpAnswer several = served.complete(
        R"({"model":"kjv","prompt":["In the beginning",[5,6,7]],"n":2,"max_tokens":3,"seed":4})");
    REQUIRE(several.body.find(R"("index":3)") != std::string::npos);
    const HttpAnswer logprobs = served.complete(completion_body(R"(,"max_tokens":2,"logprobs":2)"));
    REQUIRE(logprobs.body.find("\"token_logprobs\":[-") != std::string::npos);

    const std::string cluster = served.get("/cluster").body;
    REQUIRE((cluster.find(R"("stages":[0,1,2])") != cluster.npos ||
             cluster.find(R"("stages":[0,2,1])") != cluster.npos));
    REQUIRE(served.shows("molink_sequences_running 0"));
    const std::string metrics = served.get("/metrics").body;
    for (const char* part :
         {"molink_time_to_first_token_seconds_bucket{le=\"+Inf\"}", "molink_stage_rows_total{",
          "molink_decode_part_rows_bucket{le=\"1\"}", "lane=\"decode\"", "molink_kv_blocks ",
          "route=\"/v1/completions\",status=\"200\""}) {
        INFO(part);
        REQUIRE(metrics.find(part) != std::string::npos);
    }
    REQUIRE(served.until([&] {  // workers report it with their next heartbeat
        const std::string now = served.get("/metrics").body;
        return now.find("node=\"worker-0\",peer=\"worker-1\",lane=\"decode\"") != now.npos ||
               now.find("node=\"worker-1\",peer=\"worker-0\",lane=\"decode\"") != now.npos;
    }));

    served.processes[0]->signal(SIGTERM);
    for (const auto& process : served.processes) {
        INFO(process->errors());
        REQUIRE(process->wait(kLimitS) == 0);
    }
}

TEST_CASE("a client that hangs up cancels its request, streamed or not") {
    const Served served(1);
    const std::string endless = R"(,"max_tokens":2000,"ignore_eos":true)";
    REQUIRE(http_hang_up(served.port, "/v1/completions",
                         completion_body(endless + R"(,"stream":true)"), 500));
    REQUIRE(served.until(
        [&] { return served.shows(R"(molink_completions_total{outcome="cancelled"} 1)"); }));
    {
        RawClient client(served.port);
        REQUIRE(client.send(post_text(completion_body(endless))));
        REQUIRE(served.until([&] { return served.shows("molink_sequences_running 1"); }));
    }
    REQUIRE(served.until(
        [&] { return served.shows(R"(molink_completions_total{outcome="cancelled"} 2)"); }));
    REQUIRE(served.until([&] { return served.shows("molink_sequences_running 0"); }));
}

TEST_CASE("a full queue answers 429 and says when to try again") {
    const Served served(0, {"--max-running", "1", "--max-waiting", "1"});
    std::vector<std::future<HttpAnswer>> asked;
    for (int i = 0; i < 6; ++i) {
        asked.push_back(std::async(std::launch::async, [&] {
            return served.complete(completion_body(R"(,"max_tokens":500,"ignore_eos":true)"));
        }));
    }
    HttpAnswer refused;
    int served_well = 0;
    for (auto& one : asked) {
        HttpAnswer answer = one.get();
        if (answer.status == 200) {
            REQUIRE(value_of(answer.body, "completion_tokens") == "500");
            ++served_well;
        } else {
            refused = std::move(answer);
        }
    }
    REQUIRE(served_well >= 2);
    REQUIRE(refused.status == 429);
    REQUIRE(refused.headers.find("Retry-After") != std::string::npos);
    REQUIRE(value_of(refused.body, "code") == "rate_limit_exceeded");
    served.processes[0]->signal(SIGTERM);
    REQUIRE(served.processes[0]->wait(kLimitS) == 0);
}

TEST_CASE("errors have OpenAI's shape and status") {
    const Served served(0);
    const struct {
        const char* body;
        int status;
        const char* words;
    } cases[] = {
        {"{", 400, "not JSON"},
        {"[]", 400, "not a JSON object"},
        {R"({"prompt":"a"})", 400, "'model' is required"},
        {R"({"model":"kjv"})", 400, "'prompt' is required"},
        {R"({"model":"gpt","prompt":"a"})", 404, "does not exist"},
        {R"({"model":"kjv","prompt":""})", 400, "the prompt is empty"},
        {R"({"model":"kjv","prompt":[99999]})", 400, "outside the vocabulary"},
        {R"({"model":"kjv","prompt":"a","n":0})", 400, "'n' is 0"},
        {R"({"model":"kjv","prompt":"a","echo":true})", 400, "'echo' is not supported"},
        {R"({"model":"kjv","prompt":"a","response_format":{"type":"json_object"}})", 400,
         "'response_format' is not supported"},
        {R"({"model":"kjv","prompt":["a","b","c","d","e"],"n":64})", 400,
         "320 completions were requested; at most 272 may run and wait"},
    };
    for (const auto& item : cases) {
        INFO(item.body);
        const HttpAnswer answer = served.complete(item.body);
        INFO(answer.body);
        REQUIRE(answer.status == item.status);
        REQUIRE(value_of(answer.body, "message").find(item.words) != std::string::npos);
        REQUIRE(answer.body.find("\"type\":\"invalid_request_error\"") != std::string::npos);
    }
    REQUIRE(served.get("/nothing").status == 404);
    REQUIRE(http_request(served.port, "DELETE", "/v1/models").status == 405);
    REQUIRE(served.complete(std::string(17u << 20, ' ')).status == 413);
}

TEST_CASE("the server reports missing nodes") {
    const Served served(2, {}, false);
    REQUIRE(served.until([&] {  // the head's loop has counted them
        return served.get("/health").body.find("1 of 3 nodes are here") != std::string::npos;
    }));
    const HttpAnswer refused = served.complete(completion_body(""));
    REQUIRE(refused.status == 503);
    REQUIRE(refused.body.find("missing 2") != std::string::npos);
}
