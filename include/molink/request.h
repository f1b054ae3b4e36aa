#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// How the next token is chosen from the logits.
struct SamplingParams {
    /// 0: greedy (the largest logit, the lowest id among equals). Otherwise logits are divided by
    /// it and drawn from. Limits: 0 .. 100.
    float temperature = 0.0f;
    /// Seed of this request's random numbers; the same seed gives the same tokens whatever runs
    /// beside it. Not set: drawn at admission.
    std::optional<std::uint64_t> seed;
};

/// One generation. Give `prompt`, or `prompt_tokens` for a model without a tokenizer file.
struct GenerateRequest {
    std::string prompt;                ///< UTF-8; the tokenizer's own special tokens are added
    std::vector<Token> prompt_tokens;  ///< used as they are when not empty
    /// Tokens to generate at most; 0: up to the model's context. Default 128.
    std::int32_t max_tokens = 128;
    /// Goes on after an end-of-sequence token; for benchmarks.
    bool ignore_eos = false;
    SamplingParams sampling;
    /// Also compute the logits of every prompt position and report a 64-bit hash of each row of
    /// logits in the last event. For tests of exactness; costs one LM-head product per prompt
    /// token.
    bool hash_logits = false;
};

enum class FinishReason : std::int32_t {
    none = 0,       ///< not finished
    stop = 1,       ///< an end-of-sequence token
    length = 2,     ///< max_tokens or the model's context
    cancelled = 3,  ///< cancel() or the engine's end
    error = 4,      ///< see RequestEvent::status
};

/// "stop", "length", ... Static storage.
MOLINK_EXPORT std::string_view finish_reason_name(FinishReason reason);

/// A piece of a request's output. Every request gets exactly one event with finish_reason != none,
/// and it is the last.
struct RequestEvent {
    RequestId request;
    std::vector<Token> tokens;  ///< new tokens, without the end-of-sequence token
    std::string text;           ///< what they add; always whole code points
    FinishReason finish_reason = FinishReason::none;
    Status status;  ///< ok unless finish_reason is error or cancelled

    // In the last event only:
    std::int32_t prompt_token_count = 0;
    std::int32_t output_token_count = 0;
    std::int64_t time_to_first_token_us = 0;  ///< from submit()
    std::int64_t total_us = 0;                ///< from submit()
    std::vector<std::uint64_t> logit_hashes;  ///< [positions] when hash_logits was set
};

/// Receives the events of one request, in order, on the engine's delivery thread with no lock held.
/// It may call submit() and cancel(); destroying the engine from inside it is an error.
using RequestCallback = std::function<void(const RequestEvent&)>;

}  // namespace molink
