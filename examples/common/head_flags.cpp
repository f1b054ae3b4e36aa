// Command line flags that all head programs share, such as the number of nodes, the size of a step
// and the address file. Also waits until the pipeline is ready and shows the progress.
#include "common/head_flags.h"

#include <algorithm>
#include <fstream>

#include <fmt/format.h>

#include "common/console.h"

namespace molink::examples {

void add_head_flags(CLI::App& app, HeadFlags& flags) {
    add_node_flags(app, flags.node);
    app.add_option("--stages", flags.stages,
                   "number of stages, including those of this process; each device holds one")
        ->capture_default_str();
    app.add_flag("--no-local-stage", flags.no_local_stage, "hold no layers on this node");
    app.add_flag("--no-direct-feedback", flags.no_direct_feedback,
                 "without a local stage: send tokens to the first stage through the head");
    app.add_option("--lm-head", flags.lm_head,
                   "stage with the LM head: auto, last or, with tied embeddings, first")
        ->capture_default_str();
    app.add_flag("--no-link-probes", flags.no_link_probes,
                 "plan without measuring the links between the nodes");
    app.add_option("--wire", flags.wire, "type of activations on links: f32, f16, bf16 or int8")
        ->capture_default_str();
    app.add_option("--scheduler", flags.scheduler,
                   "scheduler: adaptive, depth, single or molink-paper")
        ->capture_default_str();
    app.add_option("--step-tokens", flags.step_tokens,
                   "other schedulers: rows of a micro-batch (default: --max-step-tokens)");
    app.add_option("--latency-goal", flags.latency_goal_ms,
                   "adaptive: goal for the milliseconds between two tokens (default: none)");
    app.add_option("--throughput-goal", flags.throughput_goal,
                   "adaptive: sufficient output tokens/s (default: none)");
    app.add_option("--partitioner", flags.partitioner, "partitioner: cost or even")
        ->capture_default_str();
    app.add_option("--objective", flags.objective, "goal of the split: throughput or latency")
        ->capture_default_str();
    app.add_option("--expect-prompt", flags.expected_prompt,
                   "tokens of a prompt that the split is optimised for")
        ->capture_default_str();
    app.add_option("--expect-output", flags.expected_output,
                   "tokens of an answer that the split is optimised for")
        ->capture_default_str();
    app.add_option("--max-running", flags.max_running, "maximum number of running sequences")
        ->capture_default_str();
    app.add_option("--max-step-tokens", flags.max_step_tokens,
                   "maximum number of rows of a micro-batch")
        ->capture_default_str();
    app.add_option(
        "--max-slice-tokens", flags.max_slice_tokens,
        "maximum number of rows of a slice of a prompt (default: half of --max-step-tokens)");
    app.add_option("--max-context", flags.max_context,
                   "maximum number of positions per sequence; 0: that of the model");
    app.add_option("--allow", flags.allow,
                   "file of the keys and tokens that may join, which `molink-key` edits; needs "
                   "--key");
    app.add_flag("--no-prefix-cache", flags.no_prefix_cache,
                 "do not keep the KV blocks of finished prompts");
    app.add_option("--wait", flags.wait_s, "seconds to wait until the pipeline is ready")
        ->capture_default_str();
    app.add_option("--address-file", flags.address_file,
                   "write the address that workers join to this file");
}

Status apply_head_flags(const HeadFlags& flags, EngineOptions& options) {
    const Status node = apply_node_flags(flags.node, options);
    if (!node.ok()) return node;
    auto wire = parse_type("--wire", flags.wire, true);
    if (!wire) return wire.error();
    options.wire_type = *wire;
    options.security.allow_file = flags.allow;
    SchedulerOptions goals;
    goals.step_tokens = flags.step_tokens;
    goals.latency_goal_us = static_cast<std::int64_t>(flags.latency_goal_ms * 1000);
    goals.throughput_goal = flags.throughput_goal;
    auto scheduler = make_scheduler(flags.scheduler, goals);
    if (!scheduler) return scheduler.error().with_context("--scheduler");
    options.scheduler = std::move(*scheduler);
    auto partitioner = make_partitioner(flags.partitioner);
    if (!partitioner) return partitioner.error().with_context("--partitioner");
    options.partitioner = std::move(*partitioner);
    auto objective = parse_partition_objective(flags.objective);
    if (!objective) return objective.error().with_context("--objective");
    options.objective = *objective;
    options.expected_prompt_tokens = flags.expected_prompt;
    options.expected_output_tokens = flags.expected_output;
    auto lm_head = parse_lm_head(flags.lm_head);
    if (!lm_head) return lm_head.error().with_context("--lm-head");
    options.lm_head = *lm_head;
    options.stages = flags.stages;
    options.local_stage = !flags.no_local_stage;
    options.direct_feedback = !flags.no_direct_feedback;
    options.probe_links = !flags.no_link_probes;
    options.max_running = flags.max_running;
    options.max_step_tokens = flags.max_step_tokens;
    options.max_slice_tokens =
        flags.max_slice_tokens > 0 ? flags.max_slice_tokens : (flags.max_step_tokens + 1) / 2;
    options.max_context = flags.max_context;
    options.prefix_cache = !flags.no_prefix_cache;
    return {};
}

Status write_address(const HeadFlags& flags, const Engine& engine) {
    if (flags.address_file.empty()) return {};
    std::ofstream file(flags.address_file);
    file << engine.address() << "\n";
    if (file.flush()) return {};
    return Status(StatusCode::invalid_argument,
                  fmt::format("--address-file {}: cannot be written", flags.address_file));
}

Status wait_with_progress(Engine& engine, double limit_s) {
    ProgressLine line;
    Status ready;
    for (double waited = 0; waited < limit_s && !interrupted(); waited += 0.1) {
        ready = engine.wait_ready(100'000);
        if (ready.code() != StatusCode::deadline_exceeded) break;
        const ClusterView view = engine.cluster();
        if (view.state != EngineState::loading) {
            line.show(fmt::format("waiting: {}", view.missing), 0);
            continue;
        }
        std::int64_t done = 0;
        std::int64_t total = 1;
        for (const NodeInfo& node : view.nodes) {
            done += node.loaded_bytes;
            total += node.weight_bytes;
        }
        const int percent = static_cast<int>(done * 100 / total);
        line.show(fmt::format("loading: {} % of {}", percent, format_bytes(total)), percent);
    }
    line.finish();
    if (ready.code() != StatusCode::deadline_exceeded) return ready;
    const ClusterView view = engine.cluster();
    std::string text =
        fmt::format("the pipeline is not ready after {:.1f} s: {}", limit_s, view.missing);
    if (!view.last_error.empty()) text += "; " + view.last_error;
    return Status(StatusCode::deadline_exceeded, text);
}

}  // namespace molink::examples
