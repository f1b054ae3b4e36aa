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

/// Added to the logit of one token before anything else.
struct LogitBias {
    Token token = 0;
    float bias = 0;  ///< Limits: -100 .. 100; -100 forbids the token
    friend bool operator==(const LogitBias&, const LogitBias&) = default;
};

/// How the next token is chosen from the logits. The steps run in the order of the fields: bias,
/// penalties, temperature, top_k, top_p, min_p. What is left is drawn from with a random number
/// that depends on (seed, absolute position) alone.
struct SamplingParams {
    /// At most 1024, each token once.
    std::vector<LogitBias> logit_bias;
    /// Divides positive and multiplies negative logits of tokens that the prompt or the output
    /// holds (Keskar et al. 2019, CTRL). 1: off. Limits: above 0, at most 100.
    float repetition_penalty = 1.0f;
    /// Subtracted once from the logit of every token that the output holds. 0: off. Limits: -100 ..
    /// 100, as for frequency_penalty.
    float presence_penalty = 0.0f;
    /// Subtracted for every time the output holds the token. 0: off.
    float frequency_penalty = 0.0f;
    /// 0: greedy (the largest logit, the lowest id among equals). Otherwise logits are divided by
    /// it and drawn from. Limits: 0 .. 100.
    float temperature = 0.0f;
    /// Keeps the k most likely tokens. 0: all.
    std::int32_t top_k = 0;
    /// Keeps the most likely tokens whose probabilities reach this sum (Holtzman et al. 2020,
    /// nucleus sampling). 1: all. Limits: above 0, at most 1.
    float top_p = 1.0f;
    /// Drops tokens less likely than min_p times the most likely one (Nguyen et al. 2024). 0: none.
    /// Limits: 0 .. 1.
    float min_p = 0.0f;
    /// Seed of this request's random numbers; the same seed gives the same tokens whatever runs
    /// beside it. Not set: drawn at admission. Completions after the first use seeds made from it.
    std::optional<std::uint64_t> seed;
    friend bool operator==(const SamplingParams&, const SamplingParams&) = default;
};

/// One generation. Give `prompt`, or `prompt_tokens` for a model without a tokenizer file.
struct GenerateRequest {
    std::string prompt;                ///< UTF-8; the tokenizer's own special tokens are added
    std::vector<Token> prompt_tokens;  ///< used as they are when not empty
    /// Tokens to generate at most; 0: up to the model's context. Default 128.
    std::int32_t max_tokens = 128;
    /// End-of-sequence and stop tokens are not sampled before so many tokens, and stop strings are
    /// not looked for. Limits: 0 .. max_tokens.
    std::int32_t min_tokens = 0;
    /// Completions of the same prompt. Limits: 1 .. 64.
    std::int32_t n = 1;
    /// Goes on after an end-of-sequence token; for benchmarks.
    bool ignore_eos = false;
    /// Further tokens that end the output; they are not part of it. At most 64.
    std::vector<Token> stop_tokens;
    /// Texts that end the output; the text is cut before the first of them. At most 16, each 1 to
    /// 256 bytes. Needs a tokenizer.
    std::vector<std::string> stop;
    /// Report the log-probability of every token, and of so many of the most likely ones beside it.
    /// They are those of the model itself, before bias, penalties and temperature. -1: none.
    /// Limits: -1 .. 20.
    std::int32_t logprobs = -1;
    SamplingParams sampling;
    /// Also compute the logits of every prompt position and report a 64-bit hash of each row of
    /// logits in the last event. For tests of exactness; costs one LM-head product per prompt
    /// token.
    bool hash_logits = false;
};

enum class FinishReason : std::int32_t {
    none = 0,       ///< not finished
    stop = 1,       ///< an end-of-sequence token, a stop token or a stop string
    length = 2,     ///< max_tokens or the model's context
    cancelled = 3,  ///< cancel() or the engine's end
    error = 4,      ///< see RequestEvent::status
};

/// "stop", "length", ... Static storage.
MOLINK_EXPORT std::string_view finish_reason_name(FinishReason reason);

/// A token and the natural logarithm of its probability.
struct TokenLogprob {
    Token token = 0;
    float logprob = 0;
    friend bool operator==(const TokenLogprob&, const TokenLogprob&) = default;
};

/// What the model thought when one token was chosen.
struct TokenLogprobs {
    float logprob = 0;              ///< of the chosen token
    std::vector<TokenLogprob> top;  ///< [logprobs], most likely first
    friend bool operator==(const TokenLogprobs&, const TokenLogprobs&) = default;
};

/// A piece of a completion. Every completion of a request gets exactly one event with finish_reason
/// != none, and it is the completion's last; `last` is set on exactly one event of a request, which
/// nothing follows.
struct RequestEvent {
    RequestId request;
    std::int32_t index = 0;     ///< of the completion, 0 .. n - 1
    std::vector<Token> tokens;  ///< new tokens, without end-of-sequence and stop tokens
    /// What became sure: whole code points, and nothing that may yet become a stop string.
    std::string text;
    std::vector<TokenLogprobs> logprobs;  ///< [tokens] when logprobs was asked for
    FinishReason finish_reason = FinishReason::none;
    bool last = false;
    Status status;  ///< ok unless finish_reason is error or cancelled

    // In a completion's last event only:
    std::int32_t prompt_token_count = 0;
    std::int32_t cached_token_count = 0;  ///< of the prompt, found in the prefix cache
    std::int32_t output_token_count = 0;
    std::int64_t time_to_first_token_us = 0;  ///< from submit()
    std::int64_t total_us = 0;                ///< from submit()
    /// [positions] when hash_logits was set; 0 where the prefix cache spared the computation.
    std::vector<std::uint64_t> logit_hashes;
};

/// Receives the events of one request, in order, on the engine's delivery thread with no lock held.
/// It may call submit() and cancel(); destroying the engine from inside it is an error.
using RequestCallback = std::function<void(const RequestEvent&)>;

}  // namespace molink
