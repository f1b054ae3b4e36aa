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

    bool mixed() const { return load > 0 || prompts_per_s > 0; }
};

/// The machines: timed stages of a profile, or a model that computes.
struct System {
    std::string name;
    std::string model;    ///< folder, or a shape that is written first ("160m", "1b")
    std::string profile;  ///< of timed stages; empty: computes
    std::string wire = "f16";
    std::int32_t nodes = 3;       ///< that hold a stage
    bool local_stage = true;      ///< the head is one of them
    bool direct_feedback = true;  ///< as EngineOptions::direct_feedback

    bool timed() const { return !profile.empty(); }
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

    /// The same for every round.
    std::string group() const;
    std::string key() const;
};

/// Names of the study's own links and loads.
std::vector<std::string> link_names();
std::vector<std::string> workload_names();

/// A name of the study, or UP[/DOWN]M-DELAYms[-JITTERms]: "50M-20ms", "100/10M-15ms". Throws
/// std::runtime_error.
LinkShape parse_link(const std::string& text);
/// A name of the study, a number of streams, or mixed:STREAMS:RATE with prompts per second or, as
/// "45%", a share of the bottleneck. Throws std::runtime_error.
Workload parse_workload(const std::string& text);

}  // namespace molink::bench
