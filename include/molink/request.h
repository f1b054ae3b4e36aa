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

/// A value that is added to the logit of one token before all other steps.
struct LogitBias {
    Token token = 0;
    float bias = 0;  ///< Limits: -100 .. 100; -100 forbids the token
    friend bool operator==(const LogitBias&, const LogitBias&) = default;
};

/// How the next token is chosen from the logits. The steps run in the order of the fields: bias,
/// penalties, temperature, top_k, top_p, min_p. The token is drawn from the remaining ones with a
/// random number that depends only on the seed and the absolute position.
struct SamplingParams {
    /// At most 1024 entries, one per token.
    std::vector<LogitBias> logit_bias;
    /// Divides positive logits and multiplies negative logits of tokens that occur in the prompt or
    /// the output (Keskar et al. 2019, CTRL). 1: off. Limits: above 0, at most 100.
    float repetition_penalty = 1.0f;
    /// Subtracted once from the logit of every token that occurs in the output. 0: off. Limits:
    /// -100 .. 100.
    float presence_penalty = 0.0f;
    /// Subtracted from a token's logit once for each time it occurs in the output. 0: off. Limits:
    /// -100 .. 100.
    float frequency_penalty = 0.0f;
    /// 0: greedy (the largest logit, and the lowest id among equal ones). Otherwise logits are
    /// divided by this value before a token is drawn. Limits: 0 .. 100.
    float temperature = 0.0f;
    /// Keeps the k most likely tokens. 0: all.
    std::int32_t top_k = 0;
    /// Keeps the most likely tokens until the sum of their probabilities reaches this value
    /// (Holtzman et al. 2020, nucleus sampling). 1: all. Limits: above 0, at most 1.
    float top_p = 1.0f;
    /// Drops tokens that are less likely than min_p times the most likely one (Nguyen et al. 2024).
    /// 0: drops none. Limits: 0 .. 1.
    float min_p = 0.0f;
    /// Seed of the request's random numbers. The same seed gives the same tokens, independent of
    /// other requests. Not set: a random seed. Completions after the first use seeds derived from
    /// it.
    std::optional<std::uint64_t> seed;
    friend bool operator==(const SamplingParams&, const SamplingParams&) = default;
};

/// One generation. Set `prompt`, or `prompt_tokens` if the model has no tokenizer file.
struct GenerateRequest {
    std::string prompt;                ///< UTF-8; the tokenizer adds its special tokens
    std::vector<Token> prompt_tokens;  ///< used unchanged if not empty
    /// Maximum number of tokens to generate; 0: up to the model's context. Default 128.
    std::int32_t max_tokens = 128;
    /// Minimum number of tokens. Before it, end-of-sequence tokens and stop tokens are not sampled,
    /// and stop strings have no effect. Limits: 0 .. max_tokens.
    std::int32_t min_tokens = 0;
    /// Number of completions of the prompt. Limits: 1 .. 64.
    std::int32_t n = 1;
    /// Continues after an end-of-sequence token; for benchmarks.
    bool ignore_eos = false;
    /// Further tokens that end the output. They are not part of it. At most 64.
    std::vector<Token> stop_tokens;
    /// Texts that end the output. The output is cut before the first of them. At most 16, each of 1
    /// to 256 bytes. Requires a tokenizer.
    std::vector<std::string> stop;
    /// 0 or more: reports the log-probability of every output token, and of this number of most
    /// likely tokens at its position. The values are those of the model, before bias, penalties and
    /// temperature. -1: none. Limits: -1 .. 20.
    std::int32_t logprobs = -1;
    SamplingParams sampling;
    /// Also computes the logits of every prompt position and reports a 64-bit hash of each row of
    /// logits in the last event. It serves tests of exactness and costs one LM head product per
    /// prompt token.
    bool hash_logits = false;
};

enum class FinishReason : std::int32_t {
    none = 0,       ///< not finished
    stop = 1,       ///< an end-of-sequence token, a stop token or a stop string
    length = 2,     ///< max_tokens or the model's context
    cancelled = 3,  ///< cancel(), or the engine was closed
    error = 4,      ///< RequestEvent::status says why
};

/// Returns the name of a reason, such as "stop". Static storage.
MOLINK_EXPORT std::string_view finish_reason_name(FinishReason reason);

/// A token and the natural logarithm of its probability.
struct TokenLogprob {
    Token token = 0;
    float logprob = 0;
    friend bool operator==(const TokenLogprob&, const TokenLogprob&) = default;
};

/// Log-probabilities at the position of one output token.
struct TokenLogprobs {
    float logprob = 0;              ///< of the chosen token
    std::vector<TokenLogprob> top;  ///< [logprobs], most likely first
    friend bool operator==(const TokenLogprobs&, const TokenLogprobs&) = default;
};

/// A piece of a completion. Exactly one event of each completion has finish_reason != none; it is
/// the last event of that completion. Exactly one event of each request has `last` set; it is the
/// last event of that request.
struct RequestEvent {
    RequestId request;
    std::int32_t index = 0;     ///< index of the completion, 0 .. n - 1
    std::vector<Token> tokens;  ///< new ones, without end-of-sequence and stop tokens
    /// New text. It consists of complete code points and excludes text that may still become a stop
    /// string.
    std::string text;
    std::vector<TokenLogprobs> logprobs;  ///< [tokens] if the request asked for them
    /// Complete characters of the completion's text before the text of each token; text that is
    /// held back counts. [tokens]; empty without a tokenizer.
    std::vector<std::int32_t> text_offsets;
    FinishReason finish_reason = FinishReason::none;
    bool last = false;
    Status status;  ///< ok unless finish_reason is error or cancelled

    // Set only in the last event of a completion:
    std::int32_t prompt_token_count = 0;
    std::int32_t cached_token_count = 0;  ///< prompt tokens found in the prefix cache
    std::int32_t output_token_count = 0;
    std::int64_t time_to_first_token_us = 0;  ///< from submit()
    std::int64_t total_us = 0;                ///< from submit()
    /// [positions] if hash_logits was set; 0 at positions that came from the prefix cache.
    std::vector<std::uint64_t> logit_hashes;
};

/// Receives the events of one request in order. It runs on the engine's delivery thread with no
/// lock held. It may call submit() and cancel(). It must not destroy the engine. If it throws, its
/// request is cancelled with what it threw; the events that follow reach it all the same.
using RequestCallback = std::function<void(const RequestEvent&)>;

}  // namespace molink
