#pragma once

#include <cstdint>
#include <vector>

#include <molink/study.h>

namespace molink::sim {

/// One request of a study, by arrival.
struct PlannedLoad {
    std::int64_t arrival_us = 0;  ///< after the first request; 0 for streams
    std::int32_t prompt_tokens = 0;
    std::int32_t output_tokens = 0;
};

/// Refuses a workload that cannot be run. Errors: invalid_argument naming the key.
Status check_workload(const StudyWorkload& workload);

/// Draws arrivals and lengths from the workload's seed, or takes them from its trace. The first
/// request arrives at 0. check_workload must have accepted the workload.
std::vector<PlannedLoad> plan_load(const StudyWorkload& workload);

/// Returns how many requests run at any time if each begins when another ends. 0: requests arrive
/// at their own times.
std::int32_t closed_streams(const StudyWorkload& workload);

}  // namespace molink::sim
