#pragma once

#include <molink/study.h>

#include "sim/sim_cluster.h"
#include "sim/study_load.h"

namespace molink::sim {

/// A study in the form that SimCluster needs.
struct StudySetup {
    SimScenario scenario;
    StudyParts parts;
};

/// Checks and converts a study. `max_context`: tokens of the longest request with its output.
/// Errors: invalid_argument (names, numbers), not_found (model).
Result<StudySetup> set_up_study(const StudyCluster& cluster, const StudyOptions& options,
                                std::uint64_t seed, std::int32_t max_context);

}  // namespace molink::sim
