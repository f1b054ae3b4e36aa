// Reads scenario files and checks scenarios. JsonReader knows which keys were asked for, so a
// misspelt key is an error. check_scenario refuses what cannot be run, whether the scenario comes
// from a file or from code.
#include <algorithm>
#include <set>

#include <molink/partitioner.h>
#include <molink/sim.h>

#include "base/error.h"
#include "base/limits.h"
#include "loader/json_parse.h"
#include "sim/json_reader.h"
#include "sim/sim_cluster.h"

namespace molink {
namespace {

using sim::JsonReader;

void read_link(JsonReader& reader, LinkModel& link) {
    reader.number("bytes_per_s", link.bytes_per_s);
    reader.integer("delay_us", link.delay_us);
    reader.integer("jitter_us", link.jitter_us);
}

void read_node(JsonReader& reader, SimNode& node) {
    reader.text("name", node.name);
    reader.number("decode_us", node.decode_us);
    reader.number("prefill_row_us", node.prefill_row_us);
    reader.integer("kv_blocks", node.kv_blocks);
    reader.integer("devices", node.devices);
}

void read_fault(JsonReader& reader, SimFault& fault) {
    std::string kind = "crash";
    reader.text("kind", kind);
    reader.integer("at_us", fault.at_us);
    reader.integer("duration_us", fault.duration_us);
    reader.text("node", fault.node);
    reader.text("other", fault.other);
    reader.number("factor", fault.factor);
    for (std::size_t i = 0; i < kSimFaultKinds; ++i) {
        if (kind != sim_fault_name(static_cast<SimFaultKind>(i))) continue;
        fault.kind = static_cast<SimFaultKind>(i);
        return;
    }
    reader.fail("kind", "is '" + kind +
                            "'; crash, vanish, freeze, slow, stall, cut, disorder and damage are "
                            "known");
}

void read_workload(JsonReader& reader, SimWorkload& workload) {
    reader.integer("requests", workload.requests);
    reader.integer("begin_us", workload.begin_us);
    reader.integer("spread_us", workload.spread_us);
    reader.integer("min_prompt", workload.min_prompt);
    reader.integer("max_prompt", workload.max_prompt);
    reader.integer("min_output", workload.min_output);
    reader.integer("max_output", workload.max_output);
    reader.number("shared_prefix", workload.shared_prefix);
    reader.number("follow_up", workload.follow_up);
    reader.number("cancelled", workload.cancelled);
    reader.number("several", workload.several);
    reader.number("sampled", workload.sampled);
    reader.number("stop_strings", workload.stop_strings);
    reader.number("hashed", workload.hashed);
}

void read_scenario(JsonReader& reader, SimScenario& scenario) {
    reader.integer("seed", scenario.seed);
    reader.list("nodes", scenario.nodes, read_node);
    reader.object("link", [&](JsonReader& link) { read_link(link, scenario.link); });
    reader.list("links", scenario.links, [](JsonReader& item, SimLink& link) {
        item.text("from", link.from);
        item.text("to", link.to);
        item.object("model", [&](JsonReader& model) { read_link(model, link.model); });
    });
    reader.list("faults", scenario.faults, read_fault);
    reader.object("workload", [&](JsonReader& item) { read_workload(item, scenario.workload); });
    reader.texts("order", scenario.order);
    reader.integer("layers", scenario.layers);
    reader.integer("hidden", scenario.hidden);
    reader.boolean("local_stage", scenario.local_stage);
    reader.boolean("direct_feedback", scenario.direct_feedback);
    reader.boolean("probe_links", scenario.probe_links);
    reader.boolean("keys", scenario.keys);
    reader.text("lm_head", scenario.lm_head);
    reader.integer("max_running", scenario.max_running);
    reader.integer("max_waiting", scenario.max_waiting);
    reader.integer("max_step_tokens", scenario.max_step_tokens);
    reader.integer("max_slice_tokens", scenario.max_slice_tokens);
    reader.integer("block_tokens", scenario.block_tokens);
    reader.integer("max_context", scenario.max_context);
    reader.boolean("prefix_cache", scenario.prefix_cache);
    reader.number("drafts", scenario.drafts);
    reader.number("overflows", scenario.overflows);
    reader.text("scheduler", scenario.scheduler);
    reader.text("transmit", scenario.transmit);
    reader.integer("node_lost_after_us", scenario.node_lost_after_us);
    reader.integer("reconnect_within_us", scenario.reconnect_within_us);
    reader.integer("safety_us", scenario.safety_us);
    reader.integer("liveness_us", scenario.liveness_us);
}

Status in_range(const char* field, double value, double low, double high) {
    if (value >= low && value <= high) return {};
    return invalid_argument("scenario: {} is {}; {} to {} are permitted", field, value, low, high);
}

Status check_link(const LinkModel& link) {
    MOLINK_RETURN_IF_ERROR(in_range("bytes_per_s", link.bytes_per_s, 0, 1e12));
    MOLINK_RETURN_IF_ERROR(in_range("delay_us", static_cast<double>(link.delay_us), 0, 6e7));
    return in_range("jitter_us", static_cast<double>(link.jitter_us), 0, 6e7);
}

Status check_workload(const SimWorkload& workload, const SimScenario& scenario) {
    constexpr double kMost = 1e7;
    MOLINK_RETURN_IF_ERROR(in_range("workload.requests", workload.requests, 0, kMost));
    MOLINK_RETURN_IF_ERROR(
        in_range("workload.begin_us", static_cast<double>(workload.begin_us), 0, 1e13));
    MOLINK_RETURN_IF_ERROR(
        in_range("workload.spread_us", static_cast<double>(workload.spread_us), 0, 1e13));
    MOLINK_RETURN_IF_ERROR(in_range("workload.min_prompt", workload.min_prompt, 1, kMost));
    MOLINK_RETURN_IF_ERROR(
        in_range("workload.max_prompt", workload.max_prompt, workload.min_prompt, kMost));
    MOLINK_RETURN_IF_ERROR(in_range("workload.min_output", workload.min_output, 1, kMost));
    MOLINK_RETURN_IF_ERROR(
        in_range("workload.max_output", workload.max_output, workload.min_output, kMost));
    MOLINK_RETURN_IF_ERROR(in_range("workload.max_prompt + workload.max_output",
                                    workload.max_prompt + workload.max_output, 2,
                                    scenario.max_context));
    for (double share :
         {workload.shared_prefix, workload.follow_up, workload.cancelled, workload.several,
          workload.sampled, workload.stop_strings, workload.hashed}) {
        MOLINK_RETURN_IF_ERROR(in_range("a share of the workload", share, 0, 1));
    }
    return {};
}

Status check_engine(const SimScenario& scenario) {
    MOLINK_RETURN_IF_ERROR(in_range("layers", scenario.layers, 1, limits::kMaxLayers));
    MOLINK_RETURN_IF_ERROR(in_range("hidden", scenario.hidden, 2, limits::kMaxHidden));
    MOLINK_RETURN_IF_ERROR(in_range("max_running", scenario.max_running, 1, limits::kMaxRunning));
    MOLINK_RETURN_IF_ERROR(in_range("max_waiting", scenario.max_waiting, 0, limits::kMaxWaiting));
    MOLINK_RETURN_IF_ERROR(
        in_range("max_step_tokens", scenario.max_step_tokens, 1, limits::kMaxStepTokens));
    MOLINK_RETURN_IF_ERROR(
        in_range("max_slice_tokens", scenario.max_slice_tokens, 1, scenario.max_step_tokens));
    MOLINK_RETURN_IF_ERROR(
        in_range("block_tokens", scenario.block_tokens, 1, limits::kMaxBlockTokens));
    MOLINK_RETURN_IF_ERROR(in_range("max_context", scenario.max_context, 2, 1 << 20));
    MOLINK_RETURN_IF_ERROR(in_range("drafts", scenario.drafts, 0, 1));
    MOLINK_RETURN_IF_ERROR(in_range("overflows", scenario.overflows, 0, 1));
    constexpr double kLongest = 1e13;
    for (std::int64_t time : {scenario.node_lost_after_us, scenario.reconnect_within_us,
                              scenario.safety_us, scenario.liveness_us}) {
        MOLINK_RETURN_IF_ERROR(in_range("a time", static_cast<double>(time), 0, kLongest));
    }
    const std::string& name = scenario.scheduler;
    const bool numbered =
        name.size() == 7 && name.rfind("depth-", 0) == 0 && name[6] >= '1' && name[6] <= '9';
    const auto names = scheduler_names();
    if (!numbered && std::find(names.begin(), names.end(), name) == names.end()) {
        return invalid_argument("scenario: scheduler is '{}'; depth-1 to depth-9 and {} are known",
                                name, fmt::join(names, ", "));
    }
    MOLINK_RETURN_IF_ERROR(parse_lm_head(scenario.lm_head).status().with_context("scenario"));
    return make_transmit_policy(scenario.transmit).status().with_context("scenario");
}

Status check_nodes(const SimScenario& scenario, std::set<std::string>& names) {
    for (const SimNode& node : scenario.nodes) {
        MOLINK_RETURN_IF_ERROR(in_range("devices", node.devices, 1, limits::kMaxNodeDevices));
    }
    const std::size_t stages = sim::stage_nodes(scenario).size();
    if (stages == 0 || stages > limits::kMaxNodes) {
        return invalid_argument("scenario: {} nodes with local_stage {} do not give 1 to {} stages",
                                scenario.nodes.size(), scenario.local_stage, limits::kMaxNodes);
    }
    if (static_cast<std::int32_t>(stages) > scenario.layers) {
        return invalid_argument("scenario: {} stages for {} layers; every stage needs a layer",
                                stages, scenario.layers);
    }
    for (const SimNode& node : scenario.nodes) {
        if (node.name.empty() || !names.insert(node.name).second) {
            return invalid_argument("scenario: node name '{}' is empty or used twice", node.name);
        }
        MOLINK_RETURN_IF_ERROR(in_range("decode_us", node.decode_us, 0, 1e8));
        MOLINK_RETURN_IF_ERROR(in_range("prefill_row_us", node.prefill_row_us, 0, 1e8));
        MOLINK_RETURN_IF_ERROR(
            in_range("kv_blocks", static_cast<double>(node.kv_blocks), 1, 1 << 24));
    }
    return {};
}

Status check_order(const SimScenario& scenario) {
    if (scenario.order.empty()) return {};
    const std::vector<std::string> nodes = sim::stage_nodes(scenario);
    const std::set<std::string> names(nodes.begin(), nodes.end());
    const std::set<std::string> ordered(scenario.order.begin(), scenario.order.end());
    if (ordered == names && ordered.size() == scenario.order.size()) return {};
    return invalid_argument("scenario: order names {}; it must name each of {} once",
                            fmt::join(scenario.order, ", "), fmt::join(names, ", "));
}

Status check_fault(const SimScenario& scenario, const SimFault& fault,
                   const std::set<std::string>& names) {
    const auto kind = static_cast<std::size_t>(fault.kind);
    if (kind >= kSimFaultKinds) {
        return invalid_argument("scenario: fault kind is {}; 0 to {} are permitted", kind,
                                kSimFaultKinds - 1);
    }
    const bool pair = fault.kind == SimFaultKind::stall || fault.kind == SimFaultKind::cut ||
                      fault.kind == SimFaultKind::disorder;
    if (!names.contains(fault.node) || (pair && !names.contains(fault.other)) ||
        (pair && fault.node == fault.other)) {
        return invalid_argument(
            "scenario: a {} fault has node '{}' and other '{}', which are unknown or equal",
            sim_fault_name(fault.kind), fault.node, fault.other);
    }
    const bool of_worker = fault.kind == SimFaultKind::crash ||
                           fault.kind == SimFaultKind::vanish ||
                           fault.kind == SimFaultKind::damage || fault.kind == SimFaultKind::hang ||
                           fault.kind == SimFaultKind::swallow;
    if (of_worker && fault.node == scenario.nodes.front().name) {
        return invalid_argument("scenario: a {0} of the head '{1}'; only workers can {0}",
                                sim_fault_name(fault.kind), fault.node);
    }
    MOLINK_RETURN_IF_ERROR(in_range("at_us", static_cast<double>(fault.at_us), 0, 1e13));
    MOLINK_RETURN_IF_ERROR(
        in_range("duration_us", static_cast<double>(fault.duration_us), 0, 1e13));
    return in_range("factor", fault.factor, 0.001, 1e6);
}

}  // namespace

Status check_scenario(const SimScenario& scenario) {
    std::set<std::string> names;
    MOLINK_RETURN_IF_ERROR(check_nodes(scenario, names));
    MOLINK_RETURN_IF_ERROR(check_order(scenario));
    MOLINK_RETURN_IF_ERROR(check_engine(scenario));
    MOLINK_RETURN_IF_ERROR(check_workload(scenario.workload, scenario));
    MOLINK_RETURN_IF_ERROR(check_link(scenario.link));
    for (const SimLink& link : scenario.links) {
        if (!names.contains(link.from) || !names.contains(link.to)) {
            return invalid_argument("scenario: a link from '{}' to '{}' names an unknown node",
                                    link.from, link.to);
        }
        MOLINK_RETURN_IF_ERROR(check_link(link.model));
    }
    for (const SimFault& fault : scenario.faults) {
        MOLINK_RETURN_IF_ERROR(check_fault(scenario, fault, names));
    }
    return {};
}

Result<SimScenario> parse_scenario(std::string_view json) {
    auto document = parse_json(json, "scenario");
    if (!document) return Status(StatusCode::invalid_argument, document.error().message());
    SimScenario scenario;
    Status status;
    {
        JsonReader reader(*document, "scenario", "", status);
        read_scenario(reader, scenario);
    }
    MOLINK_RETURN_IF_ERROR(status);
    MOLINK_RETURN_IF_ERROR(check_scenario(scenario));
    return scenario;
}

}  // namespace molink
