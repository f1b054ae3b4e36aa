#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include <molink/engine.h>
#include <molink/options.h>
#include <molink/status.h>

#include "common/node_flags.h"

namespace molink::examples {

/// Flags of programs that are a head, as the user typed them.
struct HeadFlags {
    NodeFlags node;
    int stages = 1;
    bool no_local_stage = false;
    bool no_direct_feedback = false;
    std::string lm_head = "auto";
    bool no_link_probes = false;
    std::string wire = "f32";
    std::string scheduler = "adaptive";
    int step_tokens = 0;
    double latency_goal_ms = 0;
    double throughput_goal = 0;
    std::string partitioner = "cost";
    std::string objective = "throughput";
    int expected_prompt = 512;
    int expected_output = 128;
    int max_running = 16;
    int max_step_tokens = 512;
    int max_slice_tokens = 0;
    int max_context = 0;
    std::string allow;
    bool no_prefix_cache = false;
    double wait_s = 120;
    std::string address_file;
};

/// Adds the flags, including those of every node.
void add_head_flags(CLI::App& app, HeadFlags& flags);

/// Converts flags to options. Errors: invalid_argument with the flag, its value and the permitted
/// values.
Status apply_head_flags(const HeadFlags& flags, EngineOptions& options);

/// Writes the address that workers join to the file of --address-file.
Status write_address(const HeadFlags& flags, const Engine& engine);

/// Waits for the pipeline and shows missing nodes and the progress of loading. Returns early when
/// the program is interrupted.
Status wait_with_progress(Engine& engine, double limit_s);

}  // namespace molink::examples
