// Limits of a request, checked on the caller's thread before anything is queued, so that a wrong
// field is an answer and never a fault of the pipeline. Stages check what they can see once more:
// a message may come from anywhere.
#include "engine/request_check.h"

#include <cmath>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "base/limits.h"
#include "tokenizer/unicode.h"

namespace molink {
namespace {

Status in_range(std::string_view field, double value, double low, double high) {
    if (value >= low && value <= high) return {};
    return invalid_argument("{} is {}; {} to {} are permitted", field, value, low, high);
}

Status above_zero(std::string_view field, double value, double high) {
    if (value > 0 && value <= high) return {};
    return invalid_argument("{} is {}; it must be above 0 and at most {}", field, value, high);
}

Status check_token(std::string_view field, Token token, std::int32_t vocabulary) {
    if (token >= 0 && token < vocabulary) return {};
    return invalid_argument("{}: token {} is outside the vocabulary of {} tokens", field, token,
                            vocabulary);
}

bool is_utf8(std::string_view text) {
    for (std::size_t offset = 0; offset < text.size();) {
        const Utf8Step step = utf8_step(text, offset);
        if (step.kind != Utf8Step::Kind::valid) return false;
        offset += step.length;
    }
    return true;
}

Status check_sampling(const SamplingParams& sampling, std::int32_t vocabulary) {
    MOLINK_RETURN_IF_ERROR(
        in_range("temperature", sampling.temperature, 0, limits::kMaxTemperature));
    MOLINK_RETURN_IF_ERROR(in_range("top_k", sampling.top_k, 0, limits::kMaxVocabulary));
    MOLINK_RETURN_IF_ERROR(above_zero("top_p", sampling.top_p, 1));
    MOLINK_RETURN_IF_ERROR(in_range("min_p", sampling.min_p, 0, 1));
    MOLINK_RETURN_IF_ERROR(
        above_zero("repetition_penalty", sampling.repetition_penalty, limits::kMaxPenalty));
    MOLINK_RETURN_IF_ERROR(in_range("presence_penalty", sampling.presence_penalty,
                                    -limits::kMaxPenalty, limits::kMaxPenalty));
    MOLINK_RETURN_IF_ERROR(in_range("frequency_penalty", sampling.frequency_penalty,
                                    -limits::kMaxPenalty, limits::kMaxPenalty));
    if (sampling.logit_bias.size() > limits::kMaxLogitBiases) {
        return invalid_argument("logit_bias names {} tokens; at most {} are permitted",
                                sampling.logit_bias.size(), limits::kMaxLogitBiases);
    }
    std::unordered_set<Token> biased;
    for (const LogitBias& item : sampling.logit_bias) {
        MOLINK_RETURN_IF_ERROR(check_token("logit_bias", item.token, vocabulary));
        MOLINK_RETURN_IF_ERROR(
            in_range("logit_bias", item.bias, -limits::kMaxLogitBias, limits::kMaxLogitBias));
        if (!biased.insert(item.token).second) {
            return invalid_argument("logit_bias names token {} twice", item.token);
        }
    }
    return {};
}

Status check_stops(const GenerateRequest& request, std::int32_t vocabulary, bool has_tokenizer) {
    if (request.stop_tokens.size() > limits::kMaxRequestStopTokens) {
        return invalid_argument("stop_tokens has {} entries; at most {} are permitted",
                                request.stop_tokens.size(), limits::kMaxRequestStopTokens);
    }
    for (Token token : request.stop_tokens) {
        MOLINK_RETURN_IF_ERROR(check_token("stop_tokens", token, vocabulary));
    }
    if (request.stop.size() > limits::kMaxStopStrings) {
        return invalid_argument("stop has {} strings; at most {} are permitted",
                                request.stop.size(), limits::kMaxStopStrings);
    }
    for (const std::string& stop : request.stop) {
        if (stop.empty() || stop.size() > limits::kMaxStopStringBytes) {
            return invalid_argument("a stop string has {} bytes; 1 to {} are permitted",
                                    stop.size(), limits::kMaxStopStringBytes);
        }
        if (!is_utf8(stop)) return invalid_argument("a stop string is not UTF-8");
    }
    if (request.stop.empty() || has_tokenizer) return {};
    return invalid_argument(
        "stop strings need a tokenizer; the model folder has no tokenizer.json, or the engine is "
        "timed");
}

}  // namespace

Status check_request(const GenerateRequest& request, std::int32_t vocabulary, bool has_tokenizer) {
    if (request.max_tokens < 0) {
        return invalid_argument("max_tokens is {}; it must not be negative", request.max_tokens);
    }
    const std::int32_t most = request.max_tokens > 0
                                  ? request.max_tokens
                                  : static_cast<std::int32_t>(limits::kMaxContext);
    MOLINK_RETURN_IF_ERROR(in_range("min_tokens", request.min_tokens, 0, most));
    MOLINK_RETURN_IF_ERROR(in_range("n", request.n, 1, limits::kMaxCompletions));
    MOLINK_RETURN_IF_ERROR(in_range("logprobs", request.logprobs, -1, limits::kMaxLogprobs));
    MOLINK_RETURN_IF_ERROR(check_stops(request, vocabulary, has_tokenizer));
    return check_sampling(request.sampling, vocabulary);
}

}  // namespace molink
