// Draws scenarios from a seed. Ranges are wide where policies decide and narrow where a larger
// range would only cost time: few layers, small blocks and short prompts. Memory is so small that
// sequences have to be preempted.
#include <algorithm>

#include <molink/sim.h>

#include "sim/draw.h"
#include "sim/sim_cluster.h"

namespace molink {
namespace {

using sim::Draw;

constexpr std::uint64_t kSwarm = 0x737761726d;

LinkModel draw_link(Draw& draw) {
    LinkModel link;
    link.bytes_per_s = draw.one_of({0.0, 125e6, 12.5e6, 3.75e6, 0.6e6});
    link.delay_us = draw.one_of<std::int64_t>({0, 100, 1'000, 10'000, 50'000});
    if (draw.chance(0.5)) link.jitter_us = draw.between(0, link.delay_us);
    return link;
}

void draw_nodes(Draw& draw, SimScenario& scenario) {
    const std::int32_t nodes = draw.count(2, 5);
    scenario.nodes.clear();
    for (std::int32_t i = 0; i < nodes; ++i) {
        SimNode node;
        node.name = i == 0 ? "head" : "worker-" + std::to_string(i);
        node.decode_us = static_cast<double>(draw.one_of<std::int64_t>({5, 100, 2'000}));
        node.prefill_row_us = node.decode_us / 4;
        scenario.nodes.push_back(node);
    }
    scenario.local_stage = draw.chance(0.6);
    scenario.direct_feedback = draw.chance(0.8);
    scenario.lm_head = draw.one_of({"last", "first", "auto"});
    scenario.layers = draw.count(nodes, nodes + 3);
    scenario.link = draw_link(draw);
    for (const SimNode& from : scenario.nodes) {
        for (const SimNode& to : scenario.nodes) {
            if (from.name == to.name || !draw.chance(0.2)) continue;
            scenario.links.push_back({from.name, to.name, draw_link(draw)});
        }
    }
}

void draw_engine(Draw& draw, SimScenario& scenario) {
    scenario.hidden = draw.one_of({2, 16, 128});
    scenario.max_running = draw.count(1, 12);
    scenario.max_waiting = draw.chance(0.1) ? draw.count(0, 6) : 1024;
    scenario.max_step_tokens = draw.count(4, 96);
    scenario.max_slice_tokens = draw.count(1, scenario.max_step_tokens);
    scenario.block_tokens = draw.one_of({4, 8, 16});
    scenario.prefix_cache = draw.chance(0.85);
    scenario.scheduler = draw.one_of({"adaptive", "depth", "depth-2", "single", "molink-paper"});
    scenario.transmit = draw.one_of({"fair", "strict", "fifo"});
    scenario.node_lost_after_us = draw.between(4, 15) * 1'000'000;
    const SimWorkload& workload = scenario.workload;
    const std::int32_t longest =
        std::min(scenario.max_context, workload.max_prompt + 2 * workload.max_output);
    const std::int32_t blocks = longest / scenario.block_tokens + 1;
    const bool roomy = draw.chance(0.3);
    for (SimNode& node : scenario.nodes) {
        node.kv_blocks = blocks + draw.between(0, roomy ? 8 * blocks : 4);
    }
}

void draw_workload(Draw& draw, SimScenario& scenario) {
    SimWorkload& workload = scenario.workload;
    workload.requests = draw.count(20, 36);
    workload.spread_us = draw.one_of<std::int64_t>({0, 500'000, 4'000'000, 12'000'000});
    workload.max_prompt = draw.count(4, 70);
    workload.max_output = draw.count(2, 28);
    workload.shared_prefix = draw.one_of({0.0, 0.4, 0.9});
    workload.follow_up = draw.one_of({0.0, 0.2, 0.5});
    workload.cancelled = draw.one_of({0.0, 0.15, 0.5});
    workload.sampled = draw.one_of({0.3, 0.8});
}

SimFault draw_fault(Draw& draw, const SimScenario& scenario) {
    const auto any = [&] {
        return scenario
            .nodes[static_cast<std::size_t>(draw.between(0, std::ssize(scenario.nodes) - 1))]
            .name;
    };
    const auto worker = [&] {
        return scenario
            .nodes[static_cast<std::size_t>(draw.between(1, std::ssize(scenario.nodes) - 1))]
            .name;
    };
    SimFault fault;
    fault.kind = draw.one_of({SimFaultKind::crash, SimFaultKind::vanish, SimFaultKind::freeze,
                              SimFaultKind::slow, SimFaultKind::stall, SimFaultKind::cut,
                              SimFaultKind::cut, SimFaultKind::stall});
    fault.at_us = draw.between(0, scenario.workload.spread_us + 5'000'000);
    fault.node = any();
    switch (fault.kind) {
        case SimFaultKind::crash:
        case SimFaultKind::vanish:
            fault.node = worker();
            fault.duration_us = draw.between(100'000, 4'000'000);
            break;
        case SimFaultKind::slow:
            fault.factor = static_cast<double>(draw.between(2, 20));
            fault.duration_us = draw.between(100'000, 5'000'000);
            break;
        case SimFaultKind::freeze:
            fault.duration_us = draw.between(10'000, draw.chance(0.3) ? 18'000'000 : 3'000'000);
            break;
        case SimFaultKind::damage:
        case SimFaultKind::hang:
        case SimFaultKind::swallow: break;  // added below
        case SimFaultKind::stall:
        case SimFaultKind::cut:
        case SimFaultKind::disorder:
            do fault.other = any();
            while (fault.other == fault.node);
            fault.duration_us = draw.between(0, draw.chance(0.2) ? 18'000'000 : 3'500'000);
            break;
    }
    return fault;
}

/// Delays the messages of a worker while another worker is lost, so that they arrive in the next
/// epoch.
void add_late_messages(Draw& draw, SimScenario& scenario) {
    const std::int32_t workers = static_cast<std::int32_t>(scenario.nodes.size()) - 1;
    const std::int32_t late = draw.count(1, workers);
    const std::int32_t lost = late % workers + 1;
    const std::int64_t at = draw.between(2'000'000, 5'000'000);
    const auto name = [&](std::int32_t i) {
        return scenario.nodes[static_cast<std::size_t>(i)].name;
    };
    scenario.faults.push_back({SimFaultKind::stall, at, draw.between(2'000'000, 9'000'000),
                               name(late), name(draw.chance(0.7) ? 0 : lost), 1});
    scenario.faults.push_back({SimFaultKind::crash, at + draw.between(10'000, 1'000'000),
                               draw.between(100'000, 1'000'000), name(lost), "", 1});
}

/// Adds a fault by which a transport breaks its promise of order, on any link and at any time.
void add_disorder(Draw& draw, SimScenario& scenario) {
    const std::int64_t last = std::ssize(scenario.nodes) - 1;
    const std::int64_t from = draw.between(0, last);
    const std::int64_t to = (from + draw.between(1, last)) % (last + 1);
    const auto name = [&](std::int64_t i) {
        return scenario.nodes[static_cast<std::size_t>(i)].name;
    };
    scenario.faults.push_back({SimFaultKind::disorder, draw.between(0, 5'000'000),
                               draw.between(500'000, 20'000'000), name(from), name(to), 1});
}

/// Damages the files of a worker, often before its first stage is loaded.
void add_damage(Draw& draw, SimScenario& scenario) {
    const std::int64_t worker = draw.between(1, std::ssize(scenario.nodes) - 1);
    const std::int64_t at = draw.chance(0.6) ? 0 : draw.between(0, 5'000'000);
    const SimFault fault{SimFaultKind::damage,
                         at,
                         draw.between(200'000, 6'000'000),
                         scenario.nodes[static_cast<std::size_t>(worker)].name,
                         "",
                         1};
    scenario.faults.push_back(fault);
    scenario.safety_us = std::max(scenario.safety_us, fault.at_us + fault.duration_us);
}

/// Lets the stages of a worker stand still for a while, or lose what they get, while the worker
/// itself is alive.
void add_idle_stage(Draw& draw, SimScenario& scenario) {
    const std::int64_t worker = draw.between(1, std::ssize(scenario.nodes) - 1);
    SimFault fault;
    fault.kind = draw.one_of({SimFaultKind::hang, SimFaultKind::swallow});
    fault.at_us = draw.between(0, scenario.workload.spread_us + 4'000'000);
    fault.node = scenario.nodes[static_cast<std::size_t>(worker)].name;
    fault.duration_us = fault.kind == SimFaultKind::swallow
                            ? draw.between(1'000, 1'000'000)
                            : draw.between(10'000, draw.chance(0.5) ? 200'000'000 : 3'500'000);
    scenario.faults.push_back(fault);
    scenario.safety_us = std::max(scenario.safety_us, fault.at_us + fault.duration_us);
}

/// Some machines have several devices, the head's among them.
void add_devices(Draw& draw, SimScenario& scenario) {
    for (SimNode& node : scenario.nodes) {
        if (draw.chance(0.5)) node.devices = draw.count(2, 3);
    }
    const auto stages = static_cast<std::int32_t>(sim::stage_nodes(scenario).size());
    scenario.layers = std::max(scenario.layers, stages + draw.count(0, 2));
}

/// Draws an order of the stages, as an operator would set one, so that the head's stage may also be
/// the last one or between others.
void fix_order(Draw& draw, SimScenario& scenario) {
    scenario.order = sim::stage_nodes(scenario);
    for (std::size_t i = scenario.order.size(); i > 1; --i) {
        const std::int64_t other = draw.between(0, static_cast<std::int64_t>(i) - 1);
        std::swap(scenario.order[i - 1], scenario.order[static_cast<std::size_t>(other)]);
    }
}

}  // namespace

SimScenario swarm_scenario(std::uint64_t seed) {
    Draw draw(seed ^ kSwarm);
    SimScenario scenario;
    scenario.seed = seed;
    draw_workload(draw, scenario);
    draw_nodes(draw, scenario);
    draw_engine(draw, scenario);
    const std::int32_t faults = draw.chance(0.25) ? 0 : draw.count(1, 4);
    for (std::int32_t i = 0; i < faults; ++i) {
        scenario.faults.push_back(draw_fault(draw, scenario));
    }
    if (scenario.nodes.size() > 2 && draw.chance(0.15)) add_late_messages(draw, scenario);
    while (draw.chance(0.3)) add_disorder(draw, scenario);
    scenario.safety_us = scenario.workload.begin_us + scenario.workload.spread_us + 3'000'000;
    for (const SimFault& fault : scenario.faults) {
        scenario.safety_us = std::max(scenario.safety_us, fault.at_us + fault.duration_us);
    }
    scenario.probe_links = draw.chance(0.5);
    scenario.drafts = draw.one_of({0.0, 0.0, 0.3, 1.0});
    if (draw.chance(0.25)) add_devices(draw, scenario);
    if (draw.chance(0.25)) fix_order(draw, scenario);
    scenario.overflows = draw.one_of({0.0, 0.0, 0.0003, 0.003});
    scenario.keys = draw.chance(0.3);
    if (draw.chance(0.1)) add_damage(draw, scenario);
    if (draw.chance(0.15)) add_idle_stage(draw, scenario);
    return scenario;
}

}  // namespace molink
