// Formats a plan as a table or as JSON. The table has a row for each stage. Below it is a row for
// the link to the next stage.
#include "plan/plan_table.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "common/console.h"

namespace molink::examples {
namespace {

const PartitionNode& node_of(const PartitionReport& report, NodeId id) {
    const auto& nodes = report.input.nodes;
    return *std::find_if(nodes.begin(), nodes.end(),
                         [&](const PartitionNode& node) { return node.id == id; });
}

/// Returns the receiver of a stage's output: a stage or the head.
std::optional<NodeId> stage_behind(const PartitionReport& report, std::size_t stage) {
    const auto& stages = report.plan.stages;
    if (stage + 1 < stages.size()) return stages[stage + 1].node;
    if (report.plan.lm_head_first) return stages.front().node;
    return std::nullopt;
}

std::string link_end(const PartitionReport& report, std::size_t stage) {
    const auto behind = stage_behind(report, stage);
    return behind ? node_of(report, *behind).name : "head";
}

/// Returns the link that leaves a stage, as the planner reads it: the last entry counts, and a link
/// without entry has no limit and no delay.
LinkModel link_behind(const PartitionReport& report, std::size_t stage) {
    const NodeId from = report.plan.stages[stage].node;
    const NodeId to = stage_behind(report, stage).value_or(NodeId(0));
    LinkModel model;
    for (const PartitionLink& link : report.input.links) {
        if (link.from == from && link.to == to) model = link.model;
    }
    return model;
}

std::string rate_text(const LinkModel& link) {
    return link.bytes_per_s > 0 ? fmt::format(", {:.1f} Mbit/s", link.bytes_per_s * 8e-6) : "";
}

std::int64_t kv_bytes(const StagePlan& stage) {
    return stage.kv_blocks * stage.kv_block_bytes;
}

std::string stage_rows(const PartitionReport& report) {
    std::string text =
        fmt::format("{:<20} {:>9} {:>11} {:>11} {:>11} {:>8} {:>11} {:>11}\n", "", "layers",
                    "weights", "workspace", "KV cache", "blocks", "decode ms", "slice ms");
    const PartitionModel& model = report.input.model;
    for (std::size_t i = 0; i < report.plan.stages.size(); ++i) {
        const StagePlan& stage = report.plan.stages[i];
        const std::string layers = fmt::format("{}-{}", stage.layers.begin, stage.layers.end - 1);
        text +=
            fmt::format("{:<20} {:>9} {:>11} {:>11} {:>11} {:>8} {:>11.2f} {:>11.2f}\n",
                        node_of(report, stage.node).name, layers, format_bytes(stage.weight_bytes),
                        format_bytes(model.workspace_bytes), format_bytes(kv_bytes(stage)),
                        stage.kv_blocks, stage.batch_us / 1000, stage.slice_us / 1000);
        if (report.plan.stages.size() == 1) break;
        text += fmt::format("{:<64} {:>8} {:>11.2f} {:>11.2f}\n",
                            fmt::format("  -> {}, delay {:.1f} ms{}", link_end(report, i),
                                        static_cast<double>(stage.link_delay_us) / 1000,
                                        rate_text(link_behind(report, i))),
                            "", stage.link_batch_us / 1000, stage.link_slice_us / 1000);
    }
    return text;
}

/// Formats the state of sequences on each stage. The text is empty if the model has no state.
std::string state_row(const PartitionReport& report) {
    std::string text;
    for (const StagePlan& stage : report.plan.stages) {
        if (stage.state_bytes == 0) continue;
        text += fmt::format("{}{} on '{}'", text.empty() ? "state       " : ", ",
                            format_bytes(stage.state_bytes), node_of(report, stage.node).name);
    }
    return text.empty() ? text : text + "\n";
}

}  // namespace

std::string plan_table(const PartitionReport& report) {
    const PartitionPrediction& predicted = report.plan.predicted;
    const PartitionWorkload& work = report.input.workload;
    std::string text = stage_rows(report);
    text += fmt::format(
        "\n{} sequences at once in {} micro-batches of {} rows, prompts of {} tokens, answers of "
        "{}\n",
        predicted.running, predicted.micro_batches, predicted.batch_rows, work.prompt_tokens,
        work.output_tokens);
    const auto with_head = std::find_if(report.plan.stages.begin(), report.plan.stages.end(),
                                        [](const StagePlan& stage) { return stage.has_lm_head; });
    text += fmt::format("LM head     on '{}'\n", node_of(report, with_head->node).name);
    text += state_row(report);
    text += fmt::format("throughput  {:.1f} tokens/s\n", predicted.tokens_per_s);
    text += fmt::format("TTFT        {:.1f} ms, nothing else running\n", predicted.ttft_us / 1000);
    text += fmt::format("TPOT        {:.1f} ms, {:.1f} ms for one sequence alone\n",
                        predicted.tpot_us / 1000, predicted.ring_us / 1000);
    text += fmt::format("limited by  {}\n", predicted.limit_text);
    for (const LeftOut& left : report.plan.left_out) {
        text += fmt::format("left out '{}': {}\n", node_of(report, left.node).name, left.reason);
    }
    return text;
}

std::string plan_json(const PartitionReport& report) {
    using Json = nlohmann::ordered_json;
    const PartitionPrediction& predicted = report.plan.predicted;
    Json json;
    json["objective"] = partition_objective_name(report.input.objective);
    for (std::size_t i = 0; i < report.plan.stages.size(); ++i) {
        const StagePlan& stage = report.plan.stages[i];
        Json row;
        row["node"] = node_of(report, stage.node).name;
        row["layers"] = {stage.layers.begin, stage.layers.end - 1};
        row["lm_head"] = stage.has_lm_head;
        row["weight_bytes"] = stage.weight_bytes;
        row["workspace_bytes"] = report.input.model.workspace_bytes;
        row["state_bytes"] = stage.state_bytes;
        row["kv_bytes"] = kv_bytes(stage);
        row["kv_blocks"] = stage.kv_blocks;
        row["decode_us"] = stage.batch_us;
        row["slice_us"] = stage.slice_us;
        row["link"] = {{"to", link_end(report, i)},
                       {"delay_us", stage.link_delay_us},
                       {"mbit_per_s", link_behind(report, i).bytes_per_s * 8e-6},
                       {"decode_us", stage.link_batch_us},
                       {"slice_us", stage.link_slice_us}};
        json["stages"].push_back(std::move(row));
    }
    json["left_out"] = Json::array();
    for (const LeftOut& left : report.plan.left_out) {
        json["left_out"].push_back(
            {{"node", node_of(report, left.node).name}, {"reason", left.reason}});
    }
    json["predicted"] = {
        {"tokens_per_s", predicted.tokens_per_s}, {"ttft_us", predicted.ttft_us},
        {"tpot_us", predicted.tpot_us},           {"ring_us", predicted.ring_us},
        {"running", predicted.running},           {"micro_batches", predicted.micro_batches},
        {"batch_rows", predicted.batch_rows},     {"limited_by", predicted.limit_text}};
    return json.dump(2) + "\n";
}

}  // namespace molink::examples
