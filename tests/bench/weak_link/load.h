#pragma once

#include <cstdint>
#include <vector>

#include "cell.h"
#include "cluster.h"

namespace molink::bench {

/// p50, p90, p99 and the largest, milliseconds.
struct Spread {
    double p50 = 0, p90 = 0, p99 = 0, max = 0;
    static Spread of(std::vector<double> values_ms);
};

struct Measured {
    double tokens_per_s = 0;  ///< output, while everything runs
    Spread gap;               ///< between two tokens of a stream
    Spread gap_beside;        ///< of these, those that overlap a prefill
    Spread ttft;
    double tpot_ms = 0;           ///< median over streams of their mean gap
    double link_use = 0;          ///< of the busiest link's rate
    double stage_busy = 0;        ///< of the busiest stage
    std::int32_t prompts = 0;     ///< that arrived
    std::int32_t unfinished = 0;  ///< of them, without a first token at the end
    std::int32_t micro_batches = 0;
};

/// What a load is made for.
struct Expected {
    double prompts_per_s = 0;  ///< that arrive; 0: decode alone
    double seconds = 0;        ///< of the arrivals
    double tokens_per_s = 0;   ///< the limit of decode alone
};

/// Runs the cell's workload. Throws std::runtime_error.
Measured run_load(BenchCluster& cluster, const Cell& cell, const Expected& expected);

}  // namespace molink::bench
