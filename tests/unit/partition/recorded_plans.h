#pragma once

#include <cstdint>
#include <span>

namespace molink::test {

/// A plan that the cost partitioner made when every layer of a model was like every other.
struct RecordedPlan {
    bool site = false;  ///< of mixed_site_input(seed), else of random_partition_input(seed)
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
