#pragma once

#include <cstdint>
#include <span>

#include <molink/request.h>
#include <molink/types.h>

#include "sampling/token_history.h"

namespace molink {

/// How the sampler draws; see SamplingParams.
struct SamplerState {
    float temperature = 0;   ///< 0: greedy
    std::uint64_t seed = 0;  ///< random numbers depend on (seed, absolute position)
    std::int32_t top_k = 0;
    float top_p = 1;
    float min_p = 0;
};

/// Changes a row of logits [vocabulary] before the draw: adds biases, then applies penalties for
/// the tokens in `history`, then sets `forbidden` tokens to minus infinity. Tokens outside the row
/// are ignored.
void adjust_logits(std::span<float> logits, const SamplingParams& params,
                   const TokenHistory& history, std::span<const Token> forbidden);

/// Chooses the next token from a row of `logits` [vocabulary]. `position` is the absolute position
/// of the new token. The same inputs give the same token on every machine. A NaN logit is never
/// chosen; if all are NaN, the token is 0.
Token sample_token(std::span<const float> logits, const SamplerState& state, std::int64_t position);

/// Returns the log-probability of `token` and of the `top_count` most likely tokens under softmax
/// of the row. Among equal logits the lowest id is first. The results are the same on every
/// machine. A row without a finite logit gives minus infinity for all tokens.
TokenLogprobs log_probabilities(std::span<const float> logits, Token token, std::int32_t top_count);

/// Returns a hash over the exact bits of one row of logits.
std::uint64_t hash_logits(std::span<const float> logits);

}  // namespace molink
