#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace molink::bench {

/// The two links between any two nodes.
struct LinkShape {
    std::string name;
    double up_mbit_per_s = 0;  ///< from a node to the one after it
    double down_mbit_per_s = 0;
    double delay_ms = 0;  ///< one way
    double jitter_ms = 0;
};

/// The load: decode streams, and in a mixed load prompts that arrive beside them.
struct Workload {
    std::string name;
    std::int32_t streams = 0;
    double load = 0;           ///< prompts, as a share of the bottleneck's prefill rate
    double prompts_per_s = 0;  ///< instead of `load`; both 0: no prompts arrive

    bool mixed() const { return load > 0 || prompts_per_s > 0; }
};

/// The nodes: timed stages with the times of a profile, or stages that compute.
struct System {
    std::string name;
    std::string model;    ///< timed: its folder; else its shape ("160m", "1b")
    std::string profile;  ///< file of timed stages; empty: stages compute
    std::string wire = "f16";
    std::int32_t nodes = 3;       ///< with a stage
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
    bool keys = false;             ///< nodes have keys, and their links are encrypted
    std::int32_t step_tokens = 0;  ///< 0: the scheduler's own
    std::int32_t round = 0;

    /// Returns a name that all rounds of a cell share.
    std::string group() const;
    /// Returns a name of the measurement.
    std::string key() const;
};

/// Return the names of the built-in links and loads.
std::vector<std::string> link_names();
std::vector<std::string> workload_names();

/// Parses a built-in name, or UP[/DOWN]M-DELAYms[-JITTERms]: "50M-20ms", "100/10M-15ms". Throws
/// std::runtime_error.
LinkShape parse_link(const std::string& text);
/// Parses a built-in name, a number of streams, or mixed:STREAMS:RATE. RATE is in prompts per
/// second or, as "45%", a share of the bottleneck's prefill rate. Throws std::runtime_error.
Workload parse_workload(const std::string& text);

}  // namespace molink::bench
