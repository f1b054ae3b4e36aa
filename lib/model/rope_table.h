#pragma once

#include <cstdint>
#include <vector>

#include <molink/model_spec.h>

namespace molink {

/// Cosines and sines of rotary angles (Su et al. 2021), [context, rotary_dim / 2] each.
struct RopeTable {
    std::vector<float> cos;
    std::vector<float> sin;
};

/// Returns the frequencies after scaling, [rotary_dim / 2], radians per position. Linear (Chen et
/// al. 2023) and llama3 scaling follow the reference implementations. Rounded to float32.
std::vector<float> rope_frequencies(const RopeSpec& rope);

/// Returns the table for positions [0, context).
RopeTable make_rope_table(const RopeSpec& rope, std::int32_t context);

}  // namespace molink
