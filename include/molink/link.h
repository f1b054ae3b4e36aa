#pragma once

#include <cstdint>

namespace molink {

/// The one description of a link (one direction between two nodes), used by meter, scheduler view,
/// partitioner, shaper and simulator.
struct LinkModel {
    double bytes_per_s = 0;      ///< delivery rate; 0: unknown or unlimited
    std::int64_t delay_us = 0;   ///< one-way propagation
    std::int64_t jitter_us = 0;  ///< extra one-way delay, uniform in [0, jitter_us]
};

}  // namespace molink
