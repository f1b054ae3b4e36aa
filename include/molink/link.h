#pragma once

#include <cstdint>

namespace molink {

/// Properties of a link, which is one direction between two nodes. Meter, scheduler view,
/// partitioner, shaper and simulator all use this type.
struct LinkModel {
    double bytes_per_s = 0;      ///< delivery rate; 0: unknown or unlimited
    std::int64_t delay_us = 0;   ///< one-way propagation
    std::int64_t jitter_us = 0;  ///< extra one-way delay, uniform in [0, jitter_us]
};

/// What a link of a pipeline's ring carries.
enum class LinkCargo : std::uint8_t {
    activations = 0,   ///< every row of a part, from stage to stage
    sampled_rows = 1,  ///< the rows that the LM head needs, from the last stage back to the first
    tokens = 2,        ///< sampled tokens
};

}  // namespace molink
