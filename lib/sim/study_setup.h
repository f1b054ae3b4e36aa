#pragma once

#include <molink/study.h>

#include "sim/sim_cluster.h"
#include "sim/study_load.h"

namespace molink::sim {

/// A study as the simulator's cluster takes it.
struct StudySetup {
    SimScenario scenario;
    StudyParts parts;
};

/// Errors: invalid_argument (names, numbers), not_found (model).
Result<StudySetup> set_up_study(const StudyCluster& cluster, const StudyOptions& options,
                                std::uint64_t seed, std::int32_t max_context);

}  // namespace molink::sim
