#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <molink/metrics.h>

#include "cell.h"
#include "cluster.h"
#include "streams.h"

namespace molink::bench {

/// What links and stages did while it was measured.
struct Usage {
    double link_use = 0;    ///< of the rate of the direction that was busiest
    double stage_busy = 0;  ///< of the busiest stage
    double part_us = 0;     ///< CPU time to hand on a part: loops, sockets and relay
    std::int32_t micro_batches = 0;
    std::vector<std::array<std::uint64_t, 2>> link_bytes;  ///< [nodes] of a relayed port: up, down
    std::vector<LinkMetrics> links;                        ///< as nodes see them at the end
};

struct RunLoad {
    Streams streams;
    Usage usage;
    double warm_s = 0;  ///< from the first request of all to the first that counts
};

/// Runs a load on the cluster. Throws std::runtime_error.
RunLoad run_load(BenchCluster& cluster, const LoadPlan& plan);

}  // namespace molink::bench
