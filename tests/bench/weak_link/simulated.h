#pragma once

#include <molink/model_spec.h>

#include "limits.h"
#include "streams.h"

namespace molink::bench {

/// A cell that was run, as the simulator has to know it.
struct SimulatedCell {
    Cell cell;
    RingLoad ring;
    ModelSpec spec;
    LoadPlan plan;
    double delay_ms = 0;  ///< one way, as nodes measured it: with sockets and relay; 0: the link's
    double part_us = 0;   ///< of a core, to hand on a part, where stages share cores
    double warm = 0;      ///< from the first request of all to the first that counts
    double begin = 0;     ///< of the measurement, after that; prompts arrive from then on
};

struct Simulated {
    Streams streams;
    std::int32_t micro_batches = 0;
    double link_use = 0;    ///< of the busiest direction, ramp and tail included
    double stage_busy = 0;  ///< of the busiest stage
};

/// The same cluster, links and load in virtual time. Throws std::runtime_error.
Simulated simulate_cell(const SimulatedCell& cell);

}  // namespace molink::bench
