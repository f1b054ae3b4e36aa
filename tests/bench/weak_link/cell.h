#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace molink::bench {

/// A link between any two nodes, both directions.
struct LinkShape {
    std::string name;
    double up_mbit_per_s = 0;  ///< from a node to the one after it
    double down_mbit_per_s = 0;
    double delay_ms = 0;  ///< one way
    double jitter_ms = 0;
};

/// What runs: decode streams alone, or prompts that arrive beside them.
struct Workload {
    std::string name;
    std::int32_t streams = 0;
    double load = 0;           ///< of the bottleneck's prefill rate; 0: no prompts arrive
    double prompts_per_s = 0;  ///< instead of a load
};

/// The machines: timed stages of a profile, or a model that computes.
struct System {
    std::string name;
    std::string model;    ///< folder, or a shape that is written first ("160m", "1b")
    std::string profile;  ///< of timed stages; empty: computes
    std::string wire = "f16";
    std::int32_t nodes = 3;
};

/// One measurement.
struct Cell {
    System system;
    LinkShape link;
    Workload workload;
    std::string scheduler;
    std::string transmit;
    std::int32_t step_tokens = 0;  ///< 0: the scheduler's own
    std::int32_t round = 0;

    std::string key() const;
};

std::vector<LinkShape> link_shapes();
std::vector<Workload> workloads();

}  // namespace molink::bench
