#pragma once

#include <cstdint>
#include <vector>

#include <molink/study.h>

namespace molink::sim {

/// One request of a study, by arrival.
struct PlannedLoad {
    std::int64_t arrival_us = 0;  ///< after the first one; 0 of all where streams are asked for
    std::int32_t prompt_tokens = 0;
    std::int32_t output_tokens = 0;
};

/// Refuses what cannot be asked for. Errors: invalid_argument naming the key.
Status check_workload(const StudyWorkload& workload);

/// Draws arrivals and lengths from the workload's seed; the first arrives at 0. Of one that was
/// checked.
std::vector<PlannedLoad> plan_load(const StudyWorkload& workload);

/// Requests that run at any time where one begins when another ends; 0: they come at their times.
std::int32_t closed_streams(const StudyWorkload& workload);

}  // namespace molink::sim
