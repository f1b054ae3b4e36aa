// Refuses inputs that contradict themselves, inputs that no plan fits, and plans that contradict
// their input. These checks are apart from the searches, because the head applies them to the plan
// of every partitioner, and because each refusal names nodes and numbers.
#include "partition/partition_check.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/error.h"
#include "base/limits.h"
#include "partition/stage_costs.h"

namespace molink {

Partitioner::~Partitioner() = default;

namespace {

Status check_times(const PartitionNode& node) {
    for (double time : {node.decode_layer_us, node.prefill_row_layer_us, node.lm_head_row_us,
                        node.decode_row_layer_us}) {
        if (std::isfinite(time) && time >= 0) continue;
        return invalid_argument(
            "node '{}' gives a time of {} us for a layer or the LM head; 0 or more is needed",
            node.name, time);
    }
    return {};
}

/// Checks bounds that keep every sum of sizes far below 2^63.
Status check_layer(const PartitionModel& model, std::size_t index) {
    constexpr auto kMost = static_cast<std::int64_t>(limits::kMaxMemoryBytes);
    const PartitionLayer& layer = model.layers[index];
    for (const std::int64_t bytes : {layer.weight_bytes, layer.kv_block_bytes, layer.state_bytes}) {
        if (bytes >= 0 && bytes <= kMost) continue;
        return invalid_argument(
            "layer {} has {} bytes of weights, {} per KV block and {} of state; 0 to {} are "
            "possible",
            index, layer.weight_bytes, layer.kv_block_bytes, layer.state_bytes, kMost);
    }
    for (const double cost : {layer.decode_cost, layer.prefill_cost}) {
        if (std::isfinite(cost) && cost >= 0) continue;
        return invalid_argument("layer {} costs {} times the measured layer; 0 or more is needed",
                                index, cost);
    }
    if (layer.state_bytes == 0) return {};
    if (model.max_sequences > 0 && layer.state_bytes <= kMost / model.max_sequences) return {};
    return invalid_argument(
        "layer {} keeps {} bytes of state for each of {} sequences; at least 1 sequence and at "
        "most {} bytes in all are possible",
        index, layer.state_bytes, model.max_sequences, kMost);
}

Status check_one_override(const PartitionInput& input, const PartitionNode& node) {
    const LayerRange range = *node.fixed;
    if (range.begin >= 0 && !range.empty() && range.end <= input.model.layer_count()) return {};
    return invalid_argument("layers {}-{} asked for by '{}' are not within the model's 0-{}",
                            range.begin, range.end - 1, node.name, input.model.layer_count() - 1);
}

Status check_overrides(const PartitionInput& input) {
    std::vector<const PartitionNode*> fixed;
    for (const PartitionNode& node : input.nodes) {
        if (!node.fixed) continue;
        MOLINK_RETURN_IF_ERROR(check_one_override(input, node));
        fixed.push_back(&node);
    }
    if (!input.fixed_order) {
        std::stable_sort(fixed.begin(), fixed.end(), [](const auto* a, const auto* b) {
            return a->fixed->begin < b->fixed->begin;
        });
    }
    for (std::size_t i = 1; i < fixed.size(); ++i) {
        const PartitionNode& before = *fixed[i - 1];
        const PartitionNode& node = *fixed[i];
        if (before.fixed->end <= node.fixed->begin) continue;
        return invalid_argument("layers {}-{} asked for by '{}' overlap{} layers {}-{} of '{}'{}",
                                node.fixed->begin, node.fixed->end - 1, node.name,
                                input.fixed_order ? " or precede" : "", before.fixed->begin,
                                before.fixed->end - 1, before.name,
                                input.fixed_order ? ", which stands before it in the order" : "");
    }
    const PartitionNode& first = input.nodes.front();
    if (!input.pin_first || fixed.empty() || fixed.front() == &first) return {};
    if (fixed.front()->fixed->begin > 0 && !first.fixed) return {};
    return invalid_argument("'{}' asks for layers {}-{}, but '{}' must hold the first stage",
                            fixed.front()->name, fixed.front()->fixed->begin,
                            fixed.front()->fixed->end - 1, first.name);
}

std::int64_t required_nodes(const PartitionInput& input) {
    std::int64_t required = 0;
    for (std::size_t i = 0; i < input.nodes.size(); ++i) {
        if (input.keep_all || input.nodes[i].fixed || (i == 0 && input.pin_first)) ++required;
    }
    return required;
}

double gib(std::int64_t bytes) {
    return static_cast<double>(bytes) / (1 << 30);
}

Status bad_plan(const std::string& text) {
    return Status(StatusCode::internal, "partition " + text);
}

Status check_stage(const PartitionInput& input, const StageCosts& costs, const StagePlan& stage,
                   std::size_t node, std::int32_t next) {
    const PartitionNode& info = input.nodes[node];
    const std::int32_t last_layer = input.model.layer_count() - 1;
    const std::string gives =
        fmt::format("gives '{}' layers {}-{}", info.name, stage.layers.begin, stage.layers.end - 1);
    if (stage.layers.begin != next || stage.layers.empty() || stage.layers.end > last_layer + 1) {
        return bad_plan(
            fmt::format("{}; they must begin with layer {}, be at least one and end "
                        "with layer {} at the latest",
                        gives, next, last_layer));
    }
    if (stage.has_embedding != (stage.layers.begin == 0) ||
        stage.has_lm_head != costs.has_lm_head(stage.layers)) {
        return bad_plan(
            fmt::format("{} and puts the embedding or the LM head in the wrong place: the stage "
                        "with layer 0 has the embedding, the one with layer {} the LM head",
                        gives, input.lm_head == LmHead::first ? 0 : last_layer));
    }
    if (info.fixed && *info.fixed != stage.layers) {
        return bad_plan(fmt::format("{}; its override demands {}-{}", gives, info.fixed->begin,
                                    info.fixed->end - 1));
    }
    return check_capacity("a stage of them", costs.memory(node, stage.layers),
                          input.model.min_blocks)
        .with_context("partition " + gives);
}

Status check_presence(const PartitionInput& input, const std::vector<bool>& used) {
    for (std::size_t i = 0; i < used.size(); ++i) {
        const bool pinned = i == 0 && input.pin_first;
        if (used[i] || !(input.keep_all || input.nodes[i].fixed || pinned)) continue;
        return bad_plan(fmt::format("leaves out '{}', which {}", input.nodes[i].name,
                                    pinned                 ? "must hold the first stage"
                                    : input.nodes[i].fixed ? "asks for layers"
                                                           : "must hold a stage"));
    }
    return {};
}

Status check_lm_head(const PartitionInput& input, const PartitionPlan& plan) {
    if (plan.lm_head_first && !input.model.tied_embeddings) {
        return bad_plan("puts the LM head on the first stage; the embeddings are not tied");
    }
    const LmHead is = plan.lm_head_first ? LmHead::first : LmHead::last;
    if (input.lm_head == LmHead::automatic || input.lm_head == is || plan.stages.size() < 2) {
        return {};
    }
    return bad_plan(fmt::format("puts the LM head on the {} stage; the input demands the {} one",
                                lm_head_name(is), lm_head_name(input.lm_head)));
}

}  // namespace

Status check_partition_input(const PartitionInput& input) {
    const std::size_t nodes = input.nodes.size();
    const std::int32_t layers = input.model.layer_count();
    if (nodes == 0 || nodes > limits::kMaxNodes) {
        return invalid_argument("split over {} nodes; 1 to {} are possible", nodes,
                                limits::kMaxNodes);
    }
    if (layers < 1 || layers > limits::kMaxLayers) {
        return invalid_argument("split of {} layers; 1 to {} are possible", layers,
                                limits::kMaxLayers);
    }
    if (layers < required_nodes(input)) {
        return invalid_argument(
            "split of {} layers over {} nodes that may not be left out: every node needs at least "
            "one layer",
            layers, required_nodes(input));
    }
    for (std::size_t i = 0; i < input.model.layers.size(); ++i) {
        MOLINK_RETURN_IF_ERROR(check_layer(input.model, i));
    }
    if (input.lm_head == LmHead::first && !input.model.tied_embeddings) {
        return invalid_argument(
            "the LM head cannot be on the first stage: the model's embeddings are not tied");
    }
    std::unordered_map<NodeId, const PartitionNode*> ids;
    for (const PartitionNode& node : input.nodes) {
        const auto [other, is_new] = ids.try_emplace(node.id, &node);
        if (!is_new) {
            return invalid_argument("nodes '{}' and '{}' both have the id {}", other->second->name,
                                    node.name, node.id.value);
        }
        MOLINK_RETURN_IF_ERROR(check_times(node));
    }
    return check_overrides(input);
}

Status explain_no_split(const PartitionInput& input) {
    const PartitionModel& model = input.model;
    const std::int32_t layers = model.layer_count();
    const auto nodes = static_cast<std::int64_t>(input.nodes.size());
    const std::int64_t stages = std::min<std::int64_t>(nodes, layers);
    const StageMemory whole = stage_memory(model, {0, layers}, true, true);
    const std::int64_t need =
        needed_bytes(whole, model.min_blocks) + (stages - 1) * model.workspace_bytes;
    std::int64_t largest = 0;
    for (const PartitionLayer& layer : model.layers) {
        largest = std::max(largest, layer.weight_bytes);
    }
    std::int64_t have = 0;
    std::string list;
    for (const PartitionNode& node : input.nodes) {
        have += node.memory_bytes;
        list += fmt::format("{}{} {:.3f} GiB", list.empty() ? "" : ", ", node.name,
                            gib(node.memory_bytes));
        if (node.fixed)
            list += fmt::format(" (layers {}-{})", node.fixed->begin, node.fixed->end - 1);
    }
    return make_error(
        StatusCode::resource_exhausted,
        "no split of {} layers fits over {} nodes: weights, workspace{} and {} KV blocks need "
        "{:.3f} GiB in all (the largest layer {:.3f} GiB), available {:.3f} GiB ({})",
        layers, nodes, state_bytes(whole) > 0 ? ", state" : "", model.min_blocks, gib(need),
        gib(largest), gib(have), list);
}

Status check_partition(const PartitionInput& asked, const PartitionPlan& plan) {
    MOLINK_RETURN_IF_ERROR(check_lm_head(asked, plan));
    const PartitionInput input = with_lm_head(asked, plan.lm_head_first);
    const StageCosts costs(input);
    std::unordered_map<NodeId, std::size_t> index;
    for (std::size_t i = 0; i < input.nodes.size(); ++i) index[input.nodes[i].id] = i;
    std::vector<bool> used(input.nodes.size(), false);
    std::int32_t next = 0;
    std::size_t before = 0;
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
        const StagePlan& stage = plan.stages[i];
        const auto found = index.find(stage.node);
        if (found == index.end()) {
            return bad_plan(fmt::format("gives layers {}-{} to node {}, which is unknown",
                                        stage.layers.begin, stage.layers.end - 1,
                                        stage.node.value));
        }
        const std::size_t node = found->second;
        const std::string& name = input.nodes[node].name;
        if (used[node]) return bad_plan(fmt::format("gives '{}' two stages", name));
        if (i == 0 && input.pin_first && node != 0) {
            return bad_plan(fmt::format("gives the first stage to '{}'; '{}' must hold it", name,
                                        input.nodes.front().name));
        }
        if (i > 0 && input.fixed_order && node < before) {
            return bad_plan(fmt::format("puts '{}' behind '{}'; the order is fixed", name,
                                        input.nodes[before].name));
        }
        MOLINK_RETURN_IF_ERROR(check_stage(input, costs, stage, node, next));
        used[node] = true;
        before = node;
        next = stage.layers.end;
    }
    MOLINK_RETURN_IF_ERROR(check_presence(input, used));
    if (next == input.model.layer_count()) return {};
    return bad_plan(fmt::format("places {} of {} layers", next, input.model.layer_count()));
}

}  // namespace molink
