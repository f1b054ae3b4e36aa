// Runs a cell as a study: every node of the real cluster with the layers that it had, every link
// with its rate, and the load as a trace with the arrivals of the real run. Loops, sockets and
// relay take a time that was measured: time of a core if stages compute, else a part of the delay.
#include "simulated.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <molink/study.h>

#include "base/limits.h"
#include "cluster.h"

namespace molink::bench {
namespace {

/// The simulator has one contention for parts of all sizes. It is that of this many rows.
constexpr double kSimulatedRows = 8;
constexpr double kNodeGib = 24;
constexpr const char* kHost = "machine";

LinkModel direction(const SimulatedCell& cell, bool onward) {
    const LinkShape& link = cell.cell.link;
    LinkModel model;
    model.bytes_per_s = (onward ? link.up_mbit_per_s : link.down_mbit_per_s) * 125'000;
    model.delay_us = static_cast<std::int64_t>(std::max(link.delay_ms, cell.delay_ms) * 1000);
    model.jitter_us = static_cast<std::int64_t>(link.jitter_ms * 1000);
    return model;
}

StudyCluster make_cluster(const SimulatedCell& cell) {
    const System& system = cell.cell.system;
    StudyCluster cluster;
    cluster.head_stage = system.local_stage;
    cluster.direct_feedback = system.direct_feedback;
    cluster.probe_links = false;  // as the real one
    std::int32_t layer = 0;
    if (!system.local_stage) {
        cluster.nodes.push_back({"head", cell.ring.device, kNodeGib, {}, std::nullopt});
    }
    for (std::int32_t count : cell.ring.layers) {
        StudyNode node{fmt::format("stage-{}", cluster.nodes.size()), cell.ring.device, kNodeGib,
                       cell.ring.cores > 0 ? kHost : "", LayerRange{layer, layer + count}};
        layer += count;
        cluster.nodes.push_back(std::move(node));
    }
    if (cell.ring.cores > 0) {
        cluster.hosts = {{kHost, cell.ring.cores, cell.part_us,
                          slowdown_at(cell.ring.contention, kSimulatedRows)}};
    }
    cluster.link = direction(cell, true);
    const std::size_t nodes = cluster.nodes.size();
    for (std::size_t from = 0; from < nodes; ++from) {
        for (std::size_t to = 0; to < from; ++to) {
            // The last stage dials the first one if the head has no stage, so that is onward, too.
            const bool onward = !system.local_stage && to > 0 && from + 1 == nodes;
            cluster.links.push_back(
                {cluster.nodes[from].name, cluster.nodes[to].name, direction(cell, onward)});
        }
    }
    cluster.max_running = cell.plan.streams + kSpareRunning;
    cluster.max_step_tokens = kMaxStepTokens;
    cluster.max_slice_tokens = kMaxStepTokens;
    cluster.max_frame_bytes = limits::kMaxFrameBytes;  // as in real nodes
    return cluster;
}

StudyWorkload make_workload(const SimulatedCell& cell) {
    StudyWorkload workload;
    const auto add_streams = [&](double at_s, std::int32_t output) {
        for (std::int32_t i = 0; i < cell.plan.streams; ++i) {
            workload.trace.push_back({at_s, kShortPrompt, output});
        }
    };
    add_streams(0, kFirstTokens);
    add_streams(cell.warm, cell.plan.output);
    const double begin = cell.warm + cell.begin;
    for (const Arrival& arrival : draw_arrivals(cell.plan)) {
        workload.trace.push_back({begin + arrival.at_s, arrival.rows, kPromptOutput});
    }
    // The real run also waits this long for prompts under way.
    workload.stop_s = begin + 2 * cell.plan.seconds;
    workload.settle_s = kSettleSeconds;
    return workload;
}

Stream stream_of(const StudyTokens& request) {
    Stream stream;
    stream.submitted = static_cast<double>(request.arrival_us) * 1e-6;
    for (std::int64_t at_us : request.token_us) {
        stream.tokens.push_back(static_cast<double>(at_us) * 1e-6);
    }
    return stream;
}

}  // namespace

Simulated simulate_cell(const SimulatedCell& cell) {
    StudyOptions options;
    options.spec = cell.spec;
    options.scheduler = cell.cell.scheduler;
    options.transmit = cell.cell.transmit;
    options.wire = cell.cell.system.wire;
    options.token_times = true;
    SchedulerOptions named;
    named.step_tokens = cell.cell.step_tokens;
    SimPolicies policies;
    policies.scheduler = [&] { return std::move(*make_scheduler(cell.cell.scheduler, named)); };
    const StudyWorkload workload = make_workload(cell);
    const auto report = run_study(make_cluster(cell), workload, options, policies);
    if (!report) throw std::runtime_error(report.error().message());
    if (!report->failure.empty()) throw std::runtime_error(report->failure);
    Simulated simulated;
    simulated.micro_batches = report->max_micro_batches;
    for (const LinkUse& link : report->links) {
        simulated.link_use = std::max(simulated.link_use, link.busy);
    }
    for (const StageUse& stage : report->stages) {
        simulated.stage_busy = std::max(simulated.stage_busy, stage.busy);
    }
    Streams& streams = simulated.streams;
    streams.begin = cell.warm + cell.begin;
    streams.end = streams.begin + cell.plan.seconds;
    streams.over = workload.stop_s;
    const auto decoding = static_cast<std::size_t>(cell.plan.streams);
    for (std::size_t i = decoding; i < report->token_times.size(); ++i) {  // after the warm-up
        const bool first = streams.decoding.size() < decoding;
        (first ? streams.decoding : streams.prompts).push_back(stream_of(report->token_times[i]));
    }
    for (const Stream& stream : streams.decoding) {
        if (stream.tokens.empty() || stream.tokens.front() > streams.begin ||
            static_cast<std::int32_t>(stream.tokens.size()) >= cell.plan.output) {
            throw std::runtime_error(
                "not all simulated streams decode during the whole measurement");
        }
    }
    return simulated;
}

}  // namespace molink::bench
