#pragma once

#include <cstdint>
#include <vector>

#include <molink/device_profile.h>

#include "cell.h"

namespace molink::bench {

/// How many times longer a decode part of so many rows takes while all cores compute.
struct Slowdown {
    double rows = 0;
    double times = 1;
};

/// Linear between the rows of a table, and as at its ends beyond them; 1: it is empty.
double slowdown_at(const std::vector<Slowdown>& table, double rows);

/// A cluster as the limits see it.
struct RingLoad {
    System system;
    LinkShape link;
    DeviceProfile device;
    std::vector<std::int32_t> layers;  ///< [stages] in order
    double row_bytes = 0;              ///< of an activation
    std::int32_t cores = 0;            ///< that all stages share; 0: each has its own
    std::vector<Slowdown> contention;  ///< of these cores: they share the memory
};

/// What no policy can beat for R decode streams, tokens/s, and what one micro-batch reaches. With
/// s_j(b) the service time of a stage or link, or of the cores that stages share.
struct Limits {
    double many = 0;  ///< R / min_N max(L(b), N max_j s_j(b)), b = ceil(R / N)
    double one = 0;   ///< R / max(L(1), max_j s_j(R))
};

Limits decode_limits(const RingLoad& ring, std::int32_t streams);

/// Rows/s that the slowest resource prefills, alone.
double prefill_rate(const RingLoad& ring);

/// What a token of a single stream took beyond stages and links, over the sum of one-way delays
/// round the ring; 0: there is no delay.
double propagation(const RingLoad& ring, double tpot_ms);

}  // namespace molink::bench
