#pragma once

#include <cstdint>
#include <vector>

#include <molink/model_spec.h>

namespace molink {

/// Cosines and sines of rotary positions, [context, rotary_dim / 2] each.
struct RopeTable {
    std::vector<float> cos;
    std::vector<float> sin;
};

/// Inverse frequencies after scaling, [rotary_dim / 2]; linear and llama3 as their papers'
/// reference implementations compute them, rounded to float32.
std::vector<float> rope_frequencies(const RopeSpec& rope);

/// The table for positions [0, context).
RopeTable make_rope_table(const RopeSpec& rope, std::int32_t context);

}  // namespace molink
