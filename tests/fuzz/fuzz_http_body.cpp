// Parses bodies of POST /v1/completions. A body is refused with an error in the API's form, or
// gives requests within the documented ranges and of a size that fits the body's. The engine's own
// check then accepts or refuses each.
#include <nlohmann/json.hpp>

#include "engine/request_check.h"
#include "fuzz_input.h"
#include "serve/completion_request.h"

using namespace molink;
using namespace molink::examples;

namespace {

void check_error(const ApiError& error) {
    FUZZ_CHECK(error.status >= 400 && error.status < 500 && !error.message.empty());
    const auto body = nlohmann::json::parse(error_body(error), nullptr, false);
    FUZZ_CHECK(body.is_object() && body.contains("error"));
    const auto& inner = body["error"];
    FUZZ_CHECK(inner["message"].is_string() && inner["type"] == "invalid_request_error");
    FUZZ_CHECK(inner["param"].is_null() || inner["param"].is_string());
    FUZZ_CHECK(inner["code"].is_null() || inner["code"].is_string());
}

std::size_t bytes_of(const GenerateRequest& request) {
    std::size_t bytes = sizeof(request) + request.prompt.size();
    bytes += request.prompt_tokens.size() * sizeof(Token);
    bytes += request.stop_tokens.size() * sizeof(Token);
    bytes += request.sampling.logit_bias.size() * sizeof(LogitBias);
    for (const std::string& stop : request.stop) bytes += sizeof(stop) + stop.size();
    return bytes;
}

void check_generate(const GenerateRequest& request) {
    FUZZ_CHECK(request.prompt.empty() || request.prompt_tokens.empty());
    FUZZ_CHECK(fuzz::is_utf8(request.prompt));
    FUZZ_CHECK(request.max_tokens >= 1 && request.min_tokens >= 0);
    FUZZ_CHECK(request.n >= 1 && request.n <= 64);
    FUZZ_CHECK(request.logprobs >= -1 && request.logprobs <= 20);
    const SamplingParams& sampling = request.sampling;
    FUZZ_CHECK(sampling.temperature >= 0 && sampling.temperature <= 100);
    FUZZ_CHECK(sampling.top_p > 0 && sampling.top_p <= 1 && sampling.top_k >= 0);
    FUZZ_CHECK(sampling.min_p >= 0 && sampling.min_p <= 1);
    for (const std::string& stop : request.stop) FUZZ_CHECK(fuzz::is_utf8(stop));
    const Status checked = check_request(request, 1000, true);
    FUZZ_CHECK(checked.ok() || checked.code() == StatusCode::invalid_argument);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view body = fuzz::FuzzInput(data, size).rest();
    CompletionRequest request;
    const auto error = parse_completion(body, request);
    if (error) {
        check_error(*error);
        return 0;
    }
    FUZZ_CHECK(!request.prompts.empty() && fuzz::is_utf8(request.model));
    FUZZ_CHECK(request.stream || !request.include_usage);
    std::size_t bytes = 0;
    for (const GenerateRequest& prompt : request.prompts) {
        check_generate(prompt);
        bytes += bytes_of(prompt);
    }
    // A short body must not cause gigabytes of requests, as lists are copied for each prompt.
    FUZZ_CHECK(bytes <= (1u << 20) + 300 * size);
    return 0;
}
