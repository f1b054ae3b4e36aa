// Every limit of a request: a value at the limit is accepted, and the error for a value beyond it
// names the field and the number.
#include "engine/request_check.h"

#include <functional>
#include <limits>

#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::int32_t kVocabulary = 100;
using Change = std::function<void(GenerateRequest&)>;

Status check(const Change& change, bool has_tokenizer = true) {
    GenerateRequest request;
    change(request);
    return check_request(request, kVocabulary, has_tokenizer);
}

}  // namespace

TEST_CASE("values at the limits are accepted") {
    const Change good[] = {
        [](GenerateRequest&) {},
        [](GenerateRequest& r) { r.max_tokens = 0; },
        [](GenerateRequest& r) { r.min_tokens = r.max_tokens; },
        [](GenerateRequest& r) { r.n = 64; },
        [](GenerateRequest& r) { r.logprobs = 20; },
        [](GenerateRequest& r) { r.stop.assign(16, std::string(256, 'x')); },
        [](GenerateRequest& r) { r.stop_tokens.assign(64, kVocabulary - 1); },
        [](GenerateRequest& r) { r.sampling.temperature = 100; },
        [](GenerateRequest& r) {
            r.sampling.logit_bias = {{0, -100}, {99, 100}};
        },
        [](GenerateRequest& r) { r.sampling.presence_penalty = -100; },
    };
    for (const Change& change : good) {
        const Status status = check(change);
        INFO(status.to_string());
        REQUIRE(status.ok());
    }
}

TEST_CASE("a value beyond a limit is refused with field and number") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const std::pair<const char*, Change> bad[] = {
        {"max_tokens is -1", [](GenerateRequest& r) { r.max_tokens = -1; }},
        {"min_tokens is 129", [](GenerateRequest& r) { r.min_tokens = 129; }},
        {"n is 0", [](GenerateRequest& r) { r.n = 0; }},
        {"n is 65", [](GenerateRequest& r) { r.n = 65; }},
        {"logprobs is 21", [](GenerateRequest& r) { r.logprobs = 21; }},
        {"logprobs is -2", [](GenerateRequest& r) { r.logprobs = -2; }},
        {"stop has 17 strings", [](GenerateRequest& r) { r.stop.assign(17, "x"); }},
        {"a stop string has 0 bytes", [](GenerateRequest& r) { r.stop = {""}; }},
        {"a stop string has 257 bytes",
         [](GenerateRequest& r) { r.stop = {std::string(257, 'x')}; }},
        {"is not UTF-8", [](GenerateRequest& r) { r.stop = {"\xc3"}; }},
        {"stop_tokens has 65", [](GenerateRequest& r) { r.stop_tokens.assign(65, 1); }},
        {"token 100 is outside", [](GenerateRequest& r) { r.stop_tokens = {100}; }},
        {"temperature is nan", [&](GenerateRequest& r) { r.sampling.temperature = nan; }},
        {"temperature is 100.5", [](GenerateRequest& r) { r.sampling.temperature = 100.5f; }},
        {"top_k is -1", [](GenerateRequest& r) { r.sampling.top_k = -1; }},
        {"top_p is 0", [](GenerateRequest& r) { r.sampling.top_p = 0; }},
        {"top_p is 1.5", [](GenerateRequest& r) { r.sampling.top_p = 1.5f; }},
        {"min_p is -0.5", [](GenerateRequest& r) { r.sampling.min_p = -0.5f; }},
        {"repetition_penalty is 0", [](GenerateRequest& r) { r.sampling.repetition_penalty = 0; }},
        {"presence_penalty is 101", [](GenerateRequest& r) { r.sampling.presence_penalty = 101; }},
        {"frequency_penalty is nan",
         [&](GenerateRequest& r) { r.sampling.frequency_penalty = nan; }},
        {"logit_bias: token -1",
         [](GenerateRequest& r) {
             r.sampling.logit_bias = {{-1, 0}};
         }},
        {"logit_bias is 101",
         [](GenerateRequest& r) {
             r.sampling.logit_bias = {{1, 101}};
         }},
        {"token 1 twice",
         [](GenerateRequest& r) {
             r.sampling.logit_bias = {{1, 0}, {1, 1}};
         }},
        {"names 1025 tokens", [](GenerateRequest& r) { r.sampling.logit_bias.resize(1025); }},
    };
    for (const auto& [words, change] : bad) {
        const Status status = check(change);
        INFO(words << " in " << status.to_string());
        REQUIRE(status.code() == StatusCode::invalid_argument);
        REQUIRE(status.message().find(words) != std::string::npos);
    }
    const Status status = check([](GenerateRequest& r) { r.stop = {"x"}; }, false);
    REQUIRE(status.message().find("need a tokenizer") != std::string::npos);
}
