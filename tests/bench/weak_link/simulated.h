#pragma once

#include <molink/model_spec.h>

#include "limits.h"
#include "streams.h"

namespace molink::bench {

/// What the simulator has to know of a cell that was run. Times in seconds.
struct SimulatedCell {
    Cell cell;
    RingLoad ring;
    ModelSpec spec;
    LoadPlan plan;
    double delay_ms = 0;  ///< one way, as nodes measured it; 0: the link's own
    double part_us = 0;   ///< of a core, to hand on a part, if stages share cores
    double warm = 0;      ///< from the first request of all to the first of the streams
    double begin = 0;     ///< from there to the measurement, in which prompts arrive
};

struct Simulated {
    Streams streams;
    std::int32_t micro_batches = 0;
    double link_use = 0;    ///< share of the busiest direction, with ramp and tail
    double stage_busy = 0;  ///< share of the time of the busiest stage
};

/// Runs the same cluster, links and load in virtual time. Throws std::runtime_error.
Simulated simulate_cell(const SimulatedCell& cell);

}  // namespace molink::bench
