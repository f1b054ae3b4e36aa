#pragma once

#include <cstdint>
#include <vector>

#include <molink/device_profile.h>

#include "cell.h"

namespace molink::bench {

/// The factor by which a decode part of `rows` rows takes longer while all cores compute.
struct Slowdown {
    double rows = 0;
    double times = 1;
};

/// Interpolates linearly in a table and is constant beyond its ends. An empty table gives 1.
double slowdown_at(const std::vector<Slowdown>& table, double rows);

/// What the limits depend on.
struct RingLoad {
    System system;
    LinkShape link;
    DeviceProfile device;
    std::vector<std::int32_t> layers;  ///< [stages] in order
    double row_bytes = 0;              ///< of an activation
    std::int32_t cores = 0;            ///< that all stages share; 0: each has its own
    std::vector<Slowdown> contention;  ///< of these cores, which share the memory
};

/// The tokens/s for R decode streams that no policy can exceed, and those of one micro-batch.
/// s_j(b) is the service time of resource j (a stage, a link, or the cores that stages share) for b
/// rows, and L(b) the round trip of a micro-batch of b rows.
struct Limits {
    double many = 0;  ///< R / min_N max(L(b), N max_j s_j(b)), b = ceil(R / N)
    double one = 0;   ///< R / max(L(1), max_j s_j(R))
};

Limits decode_limits(const RingLoad& ring, std::int32_t streams);

/// Returns the rows/s that the slowest resource prefills when nothing decodes.
double prefill_rate(const RingLoad& ring);

/// Returns the time that a token of a single stream takes beyond the service times of stages and
/// links, relative to the sum of the one-way delays round the ring. 0: there is no delay.
double propagation(const RingLoad& ring, double tpot_ms);

}  // namespace molink::bench
