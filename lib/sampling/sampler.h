#pragma once

#include <cstdint>
#include <span>

#include <molink/types.h>

namespace molink {

/// What the sampler needs to know of a sequence.
struct SamplerState {
    float temperature = 0;   ///< 0: greedy
    std::uint64_t seed = 0;  ///< random numbers are keyed by (seed, absolute position)
};

/// Chooses the token that follows the row of `logits` [vocabulary]; `position` is the absolute
/// position the new token will have. Pure: the same inputs give the same token on every machine
/// (own exp, fixed order of sums). NaN logits never win; when all are NaN the token is 0.
Token sample_token(std::span<const float> logits, const SamplerState& state, std::int64_t position);

/// Hash of one row of logits, over the exact bits.
std::uint64_t hash_logits(std::span<const float> logits);

}  // namespace molink
