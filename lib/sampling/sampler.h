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
    std::uint64_t seed = 0;  ///< random numbers are keyed by (seed, absolute position)
    std::int32_t top_k = 0;
    float top_p = 1;
    float min_p = 0;
};

/// Changes a row of logits [vocabulary] before the draw: bias, then penalties for what `history`
/// holds, then minus infinity for the `forbidden` tokens. Tokens outside the row are passed over.
void adjust_logits(std::span<float> logits, const SamplingParams& params,
                   const TokenHistory& history, std::span<const Token> forbidden);

/// Chooses the token that follows the row of `logits` [vocabulary]; `position` is the absolute
/// position the new token will have. Pure: the same inputs give the same token on every machine
/// (own exp, fixed order of sums). NaN logits never win; when all are NaN the token is 0.
Token sample_token(std::span<const float> logits, const SamplerState& state, std::int64_t position);

/// Log-probability of `token` and of the `top_count` most likely tokens (the lowest id first among
/// equals) under softmax of the row; the same on every machine. A row without a finite logit gives
/// minus infinity for all.
TokenLogprobs log_probabilities(std::span<const float> logits, Token token, std::int32_t top_count);

/// Hash of one row of logits, over the exact bits.
std::uint64_t hash_logits(std::span<const float> logits);

}  // namespace molink
