#pragma once

#include <molink/engine.h>

#include "cell.h"

namespace molink::bench {

/// What no policy can beat for R decode streams, tokens/s, and what one micro-batch reaches.
struct Limits {
    double many = 0;  ///< R / min_N max(L(b), N max_j s_j(b)), b = ceil(R / N)
    double one = 0;   ///< R / max(L(1), max_j s_j(R))
};

/// From the true service times and links. `layers`: of each stage, in order.
Limits decode_limits(const Cell& cell, const TimedProfile& profile,
                     const std::vector<std::int32_t>& layers, std::int32_t row_bytes);

/// Rows/s that the slowest resource prefills, alone.
double prefill_rate(const Cell& cell, const TimedProfile& profile,
                    const std::vector<std::int32_t>& layers, std::int32_t row_bytes);

}  // namespace molink::bench
