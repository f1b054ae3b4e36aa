#pragma once

#include <cstdint>
#include <span>

namespace molink::test {

/// A plan that the cost partitioner made when it treated all layers of a model as alike.
struct RecordedPlan {
    bool site = false;  ///< for mixed_site_input(seed), else for random_partition_input(seed)
    std::uint64_t seed = 0;
    const char* stages = "";  ///< "node:begin-end" in the order of the pipeline
    bool lm_head_first = false;
    std::int64_t kv_blocks = 0;
    double slowest_us = 0;
    double ring_us = 0;
    double ttft_us = 0;
};

std::span<const RecordedPlan> recorded_plans();

}  // namespace molink::test
