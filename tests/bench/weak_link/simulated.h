#pragma once

#include <molink/model_spec.h>

#include "limits.h"
#include "streams.h"

namespace molink::bench {

/// A cell that was run, as the simulator has to know it.
struct SimulatedCell {
    Cell cell;
    RingShape ring;
    ModelSpec spec;
    LoadPlan plan;
    double begin = 0;  ///< of the measurement in the real run; prompts arrive from then on
};

/// The same cluster, links and load in virtual time. Throws std::runtime_error.
Streams simulate_cell(const SimulatedCell& cell);

}  // namespace molink::bench
