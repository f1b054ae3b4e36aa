// Refusals: inputs that contradict themselves, inputs that nothing fits, plans that contradict
// their input. Apart from the searches, because the head checks the plan of any partitioner with
// it, and because each refusal has to name nodes and numbers.
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
    for (double time : {node.decode_layer_us, node.prefill_row_layer_us, node.head_row_us,
                        node.decode_row_layer_us}) {
        if (std::isfinite(time) && time >= 0) continue;
        return invalid_argument("node '{}' gives a time of {} us for a layer or the LM head",
                                node.name, time);
    }
    return {};
}

Status check_one_override(const PartitionInput& input, const PartitionNode& node) {
    const LayerRange range = *node.fixed;
    if (range.begin >= 0 && !range.empty() && range.end <= input.model.layers) return {};
    return invalid_argument("layers {}-{} asked for by '{}' are not within the model's 0-{}",
                            range.begin, range.end - 1, node.name, input.model.layers - 1);
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
    return invalid_argument("'{}' asks for layers {}-{}, and '{}' must hold the first stage",
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

Status check_stage(const PartitionInput& input, const StagePlan& stage, std::size_t node,
                   std::int32_t next) {
    const std::string& name = input.nodes[node].name;
    if (stage.layers.begin != next || stage.layers.empty()) {
        return bad_plan(
            fmt::format("gives '{}' layers {}-{}; they must follow layer {} and be at least one",
                        name, stage.layers.begin, stage.layers.end - 1, next - 1));
    }
    if (stage.has_embedding != (stage.layers.begin == 0) ||
        stage.has_head != stage_has_head(input, stage.layers)) {
        return bad_plan(fmt::format(
            "gives '{}' layers {}-{} and is wrong about embedding or LM head: they go with layers "
            "0 and {}",
            name, stage.layers.begin, stage.layers.end - 1,
            input.lm_head == LmHead::first ? 0 : input.model.layers - 1));
    }
    if (stage_permitted(input, node, stage.layers)) return {};
    return make_error(StatusCode::resource_exhausted,
                      "partition gives '{}' layers {}-{}: they do not fit its memory of {} bytes "
                      "or contradict its override",
                      name, stage.layers.begin, stage.layers.end - 1,
                      input.nodes[node].memory_bytes);
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
    return bad_plan(fmt::format("puts the LM head on the {} stage; the {} was asked for",
                                lm_head_name(is), lm_head_name(input.lm_head)));
}

}  // namespace

Status check_partition_input(const PartitionInput& input) {
    const std::size_t nodes = input.nodes.size();
    const std::int32_t layers = input.model.layers;
    if (nodes == 0 || nodes > limits::kMaxNodes) {
        return invalid_argument("split over {} nodes: 1 to {} are possible", nodes,
                                limits::kMaxNodes);
    }
    if (layers < 1 || layers > limits::kMaxLayers) {
        return invalid_argument("split of {} layers: 1 to {} are possible", layers,
                                limits::kMaxLayers);
    }
    if (layers < required_nodes(input)) {
        return invalid_argument(
            "split of {} layers over {} nodes that may not be left out: every node needs at least "
            "one",
            layers, required_nodes(input));
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
    const auto nodes = static_cast<std::int64_t>(input.nodes.size());
    const std::int64_t stages = std::min<std::int64_t>(nodes, model.layers);
    const std::int64_t need = model.layers * model.layer_bytes + model.embedding_bytes +
                              model.head_bytes + stages * model.workspace_bytes +
                              model.layers * model.min_blocks * model.kv_layer_block_bytes;
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
        "no split of {} layers fits over {} nodes: weights, workspace and {} KV blocks "
        "need {:.3f} GiB in all ({:.3f} GiB per layer), available {:.3f} GiB ({})",
        model.layers, nodes, model.min_blocks, gib(need), gib(model.layer_bytes), gib(have), list);
}

Status check_partition(const PartitionInput& asked, const PartitionPlan& plan) {
    MOLINK_RETURN_IF_ERROR(check_lm_head(asked, plan));
    const PartitionInput input = with_lm_head(asked, plan.lm_head_first);
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
            return bad_plan(fmt::format("gives the first stage to '{}'; it is '{}''s", name,
                                        input.nodes.front().name));
        }
        if (i > 0 && input.fixed_order && node < before) {
            return bad_plan(fmt::format("puts '{}' behind '{}'; the order is fixed", name,
                                        input.nodes[before].name));
        }
        MOLINK_RETURN_IF_ERROR(check_stage(input, stage, node, next));
        used[node] = true;
        before = node;
        next = stage.layers.end;
    }
    MOLINK_RETURN_IF_ERROR(check_presence(input, used));
    if (next == input.model.layers) return {};
    return bad_plan(fmt::format("places {} of {} layers", next, input.model.layers));
}

}  // namespace molink
