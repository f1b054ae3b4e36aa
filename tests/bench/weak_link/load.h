#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <molink/metrics.h>

#include "cell.h"
#include "cluster.h"
#include "streams.h"

namespace molink::bench {

/// What links and stages did during the measurement.
struct Usage {
    double link_use = 0;    ///< share of the rate of the busiest direction
    double stage_busy = 0;  ///< share of the time of the busiest stage
    double part_us = 0;     ///< CPU time to hand on a part: loops, sockets and relay
    std::int32_t micro_batches = 0;
    std::vector<std::array<std::uint64_t, 2>> link_bytes;  ///< [relayed ports]: up, down
    std::vector<LinkMetrics> links;                        ///< as measured by the nodes at the end
};

struct RunLoad {
    Streams streams;
    Usage usage;
    double warm_s = 0;  ///< from the first request of all to the first of `streams`
};

/// Runs a load on the cluster. Throws std::runtime_error.
RunLoad run_load(BenchCluster& cluster, const LoadPlan& plan);

}  // namespace molink::bench
