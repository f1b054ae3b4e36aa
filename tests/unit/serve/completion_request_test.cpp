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
        {R"("top_p":-0.1)", "top_p"},
        {R"("seed":18446744073709551615)", "seed"},
        {R"("n":2,"n":2)", "n"},
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
        {R"("stream":true,"stream_options":{"include_usage":{}})", "stream_options"},
        {R"("stream":true,"stream_options":{"continuous_usage_stats":true})", "stream_options"},
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
    REQUIRE(error_of("\xff\xfe").message == "the body is not JSON: it is wrong at byte 1");
}

TEST_CASE("options that would change the answer are refused by name, unless they are neutral") {
    const std::pair<const char*, const char*> cases[] = {
        {"response_format", R"({"type":"json_object"})"},
        {"response_format", R"({"type":"text","strict":true})"},
        {"guided_json", R"({"type":"object"})"},
        {"guided_choice", R"(["a","b"])"},
        {"guided_regex", R"("a+")"},
        {"tools", R"([{"type":"function"}])"},
        {"tool_choice", R"("required")"},
        {"messages", R"([[]])"},
        {"best_of", "5"},
        {"use_beam_search", "true"},
        {"length_penalty", "0.5"},
        {"skip_special_tokens", "false"},
        {"prompt_logprobs", "1"},
        {"include_stop_str_in_output", "true"},
        {"max_completion_tokens", "5"},
        {"mirostat", "2"},
    };
    for (const auto& [name, value] : cases) {
        INFO(name << " " << value);
        const ApiError error = error_of(with("\"" + std::string(name) + "\":" + value));
        REQUIRE(error.param == name);
        REQUIRE(error.message.find("not supported") != std::string::npos);
    }
    CompletionRequest request;
    REQUIRE_FALSE(parse_completion(with(R"("response_format":{"type":"text"},"tools":[],
        "tool_choice":"none","guided_json":null,"use_beam_search":false,"length_penalty":1.0,
        "skip_special_tokens":true,"best_of":1,"echo":false,"suffix":"","mirostat":0,
        "logit_bias":{},"functions":[],"early_stopping":false)"),
                                   request));
}

TEST_CASE("what clients write carelessly is accepted where its meaning is plain") {
    CompletionRequest request;
    REQUIRE_FALSE(parse_completion(with(R"("max_tokens":6.0,"n":2e0,"top_k":40.0,"seed":7.0,
        "top_p":0,"stop":"","temperature":1,"stop_token_ids":[],"user":{"deep":[[[{}]]]},
        "metadata":{"a":[1,2]})"),
                                   request));
    const GenerateRequest& read = request.prompts.front();
    REQUIRE(read.max_tokens == 6);
    REQUIRE(read.n == 2);
    REQUIRE(read.sampling.top_k == 40);
    REQUIRE(read.sampling.seed == 7);
    REQUIRE(read.sampling.top_p > 0);
    REQUIRE(read.sampling.top_p < 1e-6f);
    REQUIRE(read.stop.empty());
    CompletionRequest stops;
    REQUIRE_FALSE(parse_completion(with(R"("stop":["","a",""])"), stops));
    REQUIRE(stops.prompts.front().stop == std::vector<std::string>{"a"});
    CompletionRequest tokens;
    REQUIRE_FALSE(parse_completion(R"({"model":"m","prompt":[[1,2],"three",[4.0]]})", tokens));
    REQUIRE(tokens.prompts.size() == 3);
    REQUIRE(tokens.prompts[1].prompt == "three");
    REQUIRE(tokens.prompts[2].prompt_tokens == std::vector<Token>{4});
}

TEST_CASE("nesting is bounded, also in members that are ignored") {
    const auto nested = [](std::size_t levels) {
        return with("\"x\":" + std::string(levels, '[') + std::string(levels, ']'));
    };
    CompletionRequest request;
    REQUIRE_FALSE(parse_completion(nested(31), request));
    REQUIRE(error_of(nested(32)).message == "the body is nested deeper than 32 levels");
    REQUIRE(error_of(with("\"x\":" + std::string(1u << 20, '['))).message.find("nested") !=
            std::string::npos);
    const std::string empty_first = R"({"model":"m","prompt":["",5]})";
    REQUIRE(error_of(empty_first).param == "prompt");
    REQUIRE(error_of(R"({"model":"m","prompt":[[1],5]})").param == "prompt");
}

TEST_CASE("the body of an error is valid for any bytes in its message") {
    ApiError error;
    error.message = "bad \xff byte";
    REQUIRE(error_body(error).find("\"param\":null") != std::string::npos);
}
