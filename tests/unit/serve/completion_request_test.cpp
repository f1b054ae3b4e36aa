// The body of a completion request: the members that are read, and errors that name a wrong member.
#include "serve/completion_request.h"

#include "support/catch.h"

using namespace molink;
using namespace molink::examples;

namespace {

ApiError error_of(const std::string& body) {
    CompletionRequest request;
    const auto error = parse_completion(body, request);
    INFO(body);
    REQUIRE(error.has_value());
    REQUIRE(error->status == 400);
    return *error;
}

std::string with(const std::string& member) {
    return R"({"model":"m","prompt":"p",)" + member + "}";
}

}  // namespace

TEST_CASE("a full body is read member by member") {
    CompletionRequest request;
    const auto error = parse_completion(R"({"model":"m","prompt":["one",[1,2]],"max_tokens":7,
        "min_tokens":2,"temperature":0.5,"top_p":0.9,"top_k":40,"min_p":0.05,"n":2,"seed":-1,
        "stop":["x","yz"],"stop_token_ids":[3],"logprobs":4,"presence_penalty":1,
        "frequency_penalty":-1,"repetition_penalty":1.5,"logit_bias":{"12":-100,"7":2.5},
        "ignore_eos":true,"stream":true,"stream_options":{"include_usage":true},"user":"u",
        "best_of":null,"unknown":{}})",
                                        request);
    REQUIRE_FALSE(error.has_value());
    REQUIRE(request.model == "m");
    REQUIRE(request.prompts.size() == 2);
    REQUIRE(request.stream);
    REQUIRE(request.include_usage);
    REQUIRE(request.prompts[0].prompt == "one");
    const GenerateRequest& second = request.prompts[1];
    REQUIRE(second.prompt_tokens == std::vector<Token>{1, 2});
    REQUIRE(second.max_tokens == 7);
    REQUIRE(second.min_tokens == 2);
    REQUIRE(second.n == 2);
    REQUIRE(second.stop == std::vector<std::string>{"x", "yz"});
    REQUIRE(second.stop_tokens == std::vector<Token>{3});
    REQUIRE(second.logprobs == 4);
    REQUIRE(second.ignore_eos);
    const SamplingParams& sampling = second.sampling;
    REQUIRE(sampling.temperature == 0.5f);
    REQUIRE(sampling.top_p == 0.9f);
    REQUIRE(sampling.top_k == 40);
    REQUIRE(sampling.min_p == 0.05f);
    REQUIRE(sampling.seed == ~std::uint64_t{0});
    REQUIRE(sampling.presence_penalty == 1);
    REQUIRE(sampling.frequency_penalty == -1);
    REQUIRE(sampling.repetition_penalty == 1.5f);
    REQUIRE(sampling.logit_bias.size() == 2);
}

TEST_CASE("a missing member has the default of the service") {
    CompletionRequest request;
    REQUIRE_FALSE(parse_completion(R"({"model":"m","prompt":"p","top_k":-1})", request));
    REQUIRE(request.prompts[0].max_tokens == 16);
    REQUIRE(request.prompts[0].sampling.temperature == 1);
    REQUIRE(request.prompts[0].sampling.top_k == 0);
    REQUIRE(request.prompts[0].logprobs == -1);
    REQUIRE_FALSE(request.stream);
}

TEST_CASE("a wrong member is named") {
    const std::pair<const char*, const char*> cases[] = {
        {R"("max_tokens":"5")", "max_tokens"},
        {R"("max_tokens":0)", "max_tokens"},
        {R"("max_tokens":1.5)", "max_tokens"},
        {R"("max_tokens":18446744073709551615)", "max_tokens"},
        {R"("temperature":-1)", "temperature"},
        {R"("temperature":"hot")", "temperature"},
        {R"("top_p":0)", "top_p"},
        {R"("n":65)", "n"},
        {R"("logprobs":21)", "logprobs"},
        {R"("stop":5)", "stop"},
        {R"("stop":["a",1])", "stop"},
        {R"("stop_token_ids":["a"])", "stop_token_ids"},
        {R"("logit_bias":[])", "logit_bias"},
        {R"("logit_bias":{"a":1})", "logit_bias"},
        {R"("logit_bias":{"1":"x"})", "logit_bias"},
        {R"("presence_penalty":3)", "presence_penalty"},
        {R"("stream":1)", "stream"},
        {R"("stream_options":{})", "stream_options"},
        {R"("stream":true,"stream_options":{"include_usage":1})", "stream_options"},
        {R"("echo":true)", "echo"},
        {R"("suffix":"s")", "suffix"},
        {R"("best_of":3)", "best_of"},
        {R"("ignore_eos":"yes")", "ignore_eos"},
    };
    for (const auto& [member, param] : cases) {
        INFO(member);
        REQUIRE(error_of(with(member)).param == param);
    }
    for (const char* prompt : {"5", "[]", "[1,\"a\"]", "[[]]", "[[1],\"a\",5]", "{}", "[1.5]",
                               "[99999999999]", "[[1],[\"a\"]]", "null"}) {
        INFO(prompt);
        REQUIRE(error_of(std::string(R"({"model":"m","prompt":)") + prompt + "}").param ==
                "prompt");
    }
    REQUIRE(error_of(R"({"model":5,"prompt":"p"})").param == "model");
    REQUIRE(error_of("\xff\xfe").message == "the body is not JSON");
}

TEST_CASE("the body of an error is valid for any bytes in its message") {
    ApiError error;
    error.message = "bad \xff byte";
    REQUIRE(error_body(error).find("\"param\":null") != std::string::npos);
}
