// Tests how molink-serve speaks HTTP: raw bytes over sockets, answers compared with RFC 9110 and
// 9112. Limits and hostile clients are in http_abuse_test.cpp.
#include <vector>

#include "served.h"
#include "support/raw_client.h"

using namespace molink::test;

namespace {

const std::string kEnd = "\r\n\r\n";

std::string get_text(const std::string& path, const std::string& fields = {},
                     const std::string& method = "GET", const std::string& version = "1.1") {
    return method + " " + path + " HTTP/" + version + "\r\nHost: localhost\r\n" + fields + "\r\n";
}

/// Sends bytes over a connection of their own and returns what comes until the server ends it.
std::string ask(int port, const std::string& bytes) {
    RawClient client(port);
    REQUIRE(client.send(bytes));
    return client.read_all();
}

const std::string kClose = "Connection: close\r\n";

std::size_t count_of(const std::string& text, const std::string& word) {
    std::size_t count = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
        ++count;
    }
    return count;
}

bool has(const std::string& text, const std::string& word) {
    return text.find(word) != std::string::npos;
}

}  // namespace

TEST_CASE("requests that are sent at once are answered in order, on one connection") {
    const Served served(0);
    std::string all;
    for (int i = 0; i < 40; ++i) {
        all += get_text("/v1/models");
        all += get_text("/nothing-" + std::to_string(i));
        if (i % 10 == 0) all += post_text(completion_body(R"(,"max_tokens":2)"));
        if (i % 10 == 5) all += post_text(completion_body(R"(,"max_tokens":2,"stream":true)"));
    }
    all += get_text("/livez", kClose);
    const std::string answers = ask(served.port, all);
    std::size_t last = 0;
    for (int i = 0; i < 40; ++i) {
        const std::size_t at =
            answers.find("there is nothing at /nothing-" + std::to_string(i) + "\"");
        INFO(i);
        REQUIRE(at != std::string::npos);
        REQUIRE(at > last);
        last = at;
    }
    REQUIRE(count_of(answers, "HTTP/1.1 200 OK") == 40 + 8 + 1);
    REQUIRE(count_of(answers, "HTTP/1.1 404 Not Found") == 40);
    REQUIRE(count_of(answers, "data: [DONE]") == 4);
    REQUIRE(answers.ends_with("{\"status\":\"alive\"}"));
}

TEST_CASE("methods, versions and connections follow the standard") {
    const Served served(0);
    const std::string get = ask(served.port, get_text("/livez", kClose));
    const std::string head = ask(served.port, get_text("/livez", kClose, "HEAD"));
    REQUIRE(has(head, "Content-Length: 18\r\n"));
    REQUIRE(head.ends_with(kEnd));
    REQUIRE(has(get, "\r\nDate: "));
    REQUIRE(has(get, "\r\nConnection: close\r\n"));

    const std::string old = ask(served.port, get_text("/livez", {}, "GET", "1.0"));
    REQUIRE(has(old, "alive"));
    REQUIRE(has(old, "Connection: close"));
    const std::string kept =
        ask(served.port, get_text("/livez", "Connection: keep-alive\r\n", "GET", "1.0") +
                             get_text("/livez", {}, "GET", "1.0"));
    REQUIRE(count_of(kept, "alive\"}") == 2);
    const std::string body = completion_body(R"(,"max_tokens":3,"stream":true)");
    const std::string streamed =
        ask(served.port, "POST /v1/completions HTTP/1.0\r\nContent-Length: " +
                             std::to_string(body.size()) + kEnd + body);
    REQUIRE_FALSE(has(streamed, "chunked"));
    REQUIRE(streamed.ends_with("data: [DONE]\n\n"));

    const std::string options = ask(served.port, get_text("/v1/completions", kClose, "OPTIONS"));
    REQUIRE(has(options, "HTTP/1.1 204 No Content\r\n"));
    REQUIRE(has(options, "Allow: POST, OPTIONS\r\n"));
    REQUIRE_FALSE(has(options, "Access-Control"));
    REQUIRE(has(ask(served.port, get_text("*", kClose, "OPTIONS")), " 204 "));
    for (const char* method : {"GET", "PUT", "DELETE", "PATCH", "TRACE", "BREW"}) {
        INFO(method);
        const std::string refused = ask(served.port, get_text("/v1/completions", kClose, method));
        REQUIRE(has(refused, "HTTP/1.1 405 "));
        REQUIRE(has(refused, "Allow: POST, OPTIONS\r\n"));
        REQUIRE(has(refused, "\"error\":{"));
    }
    // A range is ignored: metrics have no fixed length.
    const std::string range =
        ask(served.port, get_text("/metrics", kClose + "Range: bytes=0-9\r\n"));
    REQUIRE(has(range, "HTTP/1.1 200 "));
    REQUIRE(has(range, "molink_requests_submitted_total"));
    REQUIRE(has(ask(served.port, get_text("//v1//models///", kClose)), "\"kjv\""));
    REQUIRE(
        has(ask(served.port, get_text("http://localhost/v1/models/k%6Av?x=y", kClose)), "\"kjv\""));
}

TEST_CASE("bodies come whole, in chunks, or after the server has asked for them") {
    const Served served(0);
    const std::string body = completion_body(R"(,"max_tokens":2)");
    {
        RawClient client(served.port);
        std::string head =
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\n"
            "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
        REQUIRE(client.send(head));
        REQUIRE(client.read_until(kEnd) == "HTTP/1.1 100 Continue\r\n\r\n");
        for (char c : body) REQUIRE(client.send("1\r\n" + std::string(1, c) + "\r\n"));
        REQUIRE(client.send("0\r\nTrailer: x\r\n\r\n" + get_text("/livez", kClose)));
        const std::string answers = client.read_all();
        REQUIRE(value_of(answers, "completion_tokens") == "2");
        REQUIRE(has(answers, "alive"));
    }
    // What is refused is refused before the body was sent.
    const std::string expects = "Expect: 100-continue\r\nContent-Length: 100\r\n";
    REQUIRE(has(ask(served.port, get_text("/nothing", expects, "POST")), "HTTP/1.1 404 "));
    REQUIRE(has(
        ask(served.port, get_text("/v1/completions", expects + "Content-Type: text/x\r\n", "POST")),
        "HTTP/1.1 415 "));
    // curl without -H sends the type of a form.
    const std::string form = "Content-Type: application/x-www-form-urlencoded\r\n";
    const std::string answer =
        ask(served.port, "POST /v1/completions HTTP/1.1\r\nHost: h\r\n" + form +
                             "Content-Length: 9000\r\n\r\n" + std::string(9000, 'x'));
    REQUIRE(has(answer, "HTTP/1.1 415 "));
    REQUIRE(has(answer, "'application/x-www-form-urlencoded'; it must be application/json"));
    const std::string zipped = ask(served.port, post_text("{}", "Content-Encoding: gzip\r\n"));
    REQUIRE(has(zipped, "HTTP/1.1 415 "));
    REQUIRE(has(zipped, "gzip"));
    const std::string charset = post_text(body, kClose);
    REQUIRE(has(ask(served.port, charset), "HTTP/1.1 200 "));
}

TEST_CASE("a client that has ended its output still gets its answer") {
    const Served served(0);
    for (const char* more : {R"(,"max_tokens":40)", R"(,"max_tokens":40,"stream":true)"}) {
        RawClient client(served.port);
        REQUIRE(client.send(get_text("/livez") + post_text(completion_body(more))));
        client.end_output();
        const std::string answers = client.read_all();
        INFO(answers);
        REQUIRE(has(answers, "alive"));
        REQUIRE(has(answers, "\"finish_reason\":\"length\""));
    }
    {  // a request that will never be complete
        RawClient client(served.port);
        REQUIRE(
            client.send("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{"));
        client.end_output();
        REQUIRE(client.read_all().empty());
    }
    REQUIRE(served.until([&] { return served.shows("molink_sequences_running 0"); }));
}

TEST_CASE("web pages of permitted origins may use the server") {
    const Served served(0, {"--cors", "https://a.example"});
    const std::string from = "Origin: https://a.example\r\n";
    const std::string asked =
        ask(served.port,
            get_text("/v1/completions", kClose + from + "Access-Control-Request-Method: POST\r\n",
                     "OPTIONS"));
    REQUIRE(has(asked, "HTTP/1.1 204 "));
    REQUIRE(has(asked, "Access-Control-Allow-Origin: https://a.example\r\n"));
    REQUIRE(has(asked, "Access-Control-Allow-Headers: Authorization, Content-Type\r\n"));
    const std::string allow = "Access-Control-Allow-Origin: https://a.example\r\n";
    REQUIRE(has(ask(served.port, post_text(completion_body(R"(,"max_tokens":1)"), kClose + from)),
                allow));
    REQUIRE(has(ask(served.port, post_text("{", kClose + from)), allow));
    REQUIRE(has(ask(served.port, get_text("/nothing", kClose + from)), allow));
    REQUIRE_FALSE(has(ask(served.port, get_text("/v1/models", kClose + "Origin: https://b.x\r\n")),
                      "Access-Control-Allow-Origin"));
}

TEST_CASE("offsets count the characters of the text, streamed or not") {
    const Served served(0);
    const auto offsets = [](const std::string& text) {
        std::string all;
        const std::string key = "\"text_offset\":[";
        for (std::size_t at = text.find(key); at != std::string::npos;
             at = text.find(key, at + 1)) {
            const std::size_t begin = at + key.size();
            const std::string list = text.substr(begin, text.find(']', begin) - begin);
            if (!list.empty()) all += (all.empty() ? "" : ",") + list;
        }
        return all;
    };
    std::string text;
    for (const char* stop : {"", R"(,"stop":["and was","zz"])"}) {
        const std::string options = std::string(R"(,"max_tokens":24,"logprobs":0)") + stop;
        const std::string whole = served.complete(completion_body(options)).body;
        const std::string stream =
            served.complete(completion_body(options + R"(,"stream":true)")).body;
        INFO(whole);
        INFO(stream);
        REQUIRE(offsets(whole).starts_with("0,"));
        REQUIRE(offsets(whole) == offsets(stream));
        if (text.empty()) text = value_of(whole, "text");
        // With logprobs 0, the only entry of each position is the sampled token.
        REQUIRE(count_of(whole, "\"top_logprobs\":[{\"") == 1);
        const std::string last = offsets(whole).substr(offsets(whole).rfind(',') + 1);
        REQUIRE(std::stoul(last) < value_of(whole, "text").size());
    }
    REQUIRE(text.find("and was") != std::string::npos);
}

TEST_CASE("what can never fit is refused as wrong and counted") {
    const Served served(0, {"--max-running", "2", "--max-waiting", "2", "--memory-gib", "0.03"});
    const HttpAnswer many = served.complete(completion_body(R"(,"n":5)"));
    INFO(many.body);
    REQUIRE(many.status == 400);
    REQUIRE(many.headers.find("Retry-After") == std::string::npos);
    const HttpAnswer large =
        served.complete(completion_body(R"(,"max_tokens":2000,"ignore_eos":true)"));
    INFO(large.body);
    REQUIRE(large.status == 400);
    REQUIRE(large.body.find("KV blocks") != std::string::npos);
    REQUIRE(large.headers.find("Retry-After") == std::string::npos);
    REQUIRE(served.shows("molink_requests_refused_total 1"));
    REQUIRE(served.shows(R"(molink_http_responses_total{route="/v1/completions",status="400"} 2)"));
}
