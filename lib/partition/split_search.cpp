// The exact search behind the built-in partitioners. Two dynamic programmes over (node, layers
// placed so far): the first finds the smallest possible largest cost, the second, among all splits
// within the tolerance of it, the one that leaves most KV blocks on its smallest stage, because
// while the ring is bound by latency memory for KV is throughput. Relies on stage times being
// additive over layers.
#include "partition/split_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/error.h"
#include "base/limits.h"

namespace molink {

Partitioner::~Partitioner() = default;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kTolerance = 1.02;

bool has_embedding(std::size_t index) {
    return index == 0;
}
bool has_head(const PartitionInput& input, std::size_t index) {
    return index + 1 == input.nodes.size();
}

bool permitted(const PartitionInput& input, std::size_t index, LayerRange layers) {
    const auto& fixed = input.nodes[index].fixed;
    if (fixed && !(*fixed == layers)) return false;
    return stage_kv_blocks(input, index, layers) >= input.model.min_blocks;
}

/// best[i][l]: value of the best way to give the first l layers to nodes 0..i; from[i][l]: where
/// the range of node i begins in it.
struct Table {
    std::vector<std::vector<double>> best;
    std::vector<std::vector<std::int32_t>> from;
};

/// Minimises the largest value(i, range); infinity marks what is not permitted.
Table minimise_largest(std::size_t nodes, std::int32_t layers, const StageCost& value) {
    const auto width = static_cast<std::size_t>(layers) + 1;
    Table table{std::vector(nodes, std::vector<double>(width, kInfinity)),
                std::vector(nodes, std::vector<std::int32_t>(width, -1))};
    for (std::size_t i = 0; i < nodes; ++i) {
        const auto left = static_cast<std::int32_t>(nodes - i - 1);
        for (std::int32_t end = static_cast<std::int32_t>(i) + 1; end <= layers - left; ++end) {
            const auto to = static_cast<std::size_t>(end);
            for (std::int32_t begin = static_cast<std::int32_t>(i); begin < end; ++begin) {
                if (i == 0 && begin != 0) break;
                const double before =
                    i == 0 ? -kInfinity : table.best[i - 1][static_cast<std::size_t>(begin)];
                if (before >= table.best[i][to]) continue;
                const double largest = std::max(before, value(i, {begin, end}));
                if (largest < table.best[i][to]) {
                    table.best[i][to] = largest;
                    table.from[i][to] = begin;
                }
            }
        }
    }
    return table;
}

Status check_overrides(const PartitionInput& input) {
    const PartitionNode* before = nullptr;
    for (const PartitionNode& node : input.nodes) {
        if (!node.fixed) continue;
        const LayerRange range = *node.fixed;
        if (range.begin < 0 || range.empty() || range.end > input.model.layers) {
            return invalid_argument(
                "layers {}-{} asked for by '{}' are not within the model's 0-{}", range.begin,
                range.end - 1, node.name, input.model.layers - 1);
        }
        if (before != nullptr && before->fixed->end > range.begin) {
            return invalid_argument(
                "layers {}-{} asked for by '{}' overlap or precede layers {}-{} of '{}', which "
                "stands "
                "before it in the pipeline",
                range.begin, range.end - 1, node.name, before->fixed->begin, before->fixed->end - 1,
                before->name);
        }
        before = &node;
    }
    return {};
}

Status explain_no_split(const PartitionInput& input) {
    MOLINK_RETURN_IF_ERROR(check_overrides(input));
    const PartitionModel& model = input.model;
    const auto nodes = static_cast<std::int64_t>(input.nodes.size());
    const std::int64_t need = model.layers * model.layer_bytes + model.embedding_bytes +
                              model.head_bytes + nodes * model.workspace_bytes +
                              model.layers * model.min_blocks * model.kv_layer_block_bytes;
    std::int64_t have = 0;
    std::string list;
    for (const PartitionNode& node : input.nodes) {
        have += node.memory_bytes;
        list += fmt::format("{}{} {:.3f} GiB", list.empty() ? "" : ", ", node.name,
                            static_cast<double>(node.memory_bytes) / (1 << 30));
        if (node.fixed)
            list += fmt::format(" (layers {}-{})", node.fixed->begin, node.fixed->end - 1);
    }
    return make_error(
        StatusCode::resource_exhausted,
        "no split of {} layers fits over {} nodes: weights, workspace and {} KV blocks "
        "need {:.3f} GiB in all ({:.3f} GiB per layer), available {:.3f} GiB ({})",
        model.layers, nodes, model.min_blocks, static_cast<double>(need) / (1 << 30),
        static_cast<double>(model.layer_bytes) / (1 << 30), static_cast<double>(have) / (1 << 30),
        list);
}

PartitionPlan build_plan(const PartitionInput& input, const Table& table) {
    PartitionPlan plan;
    plan.stages.resize(input.nodes.size());
    plan.kv_blocks = std::numeric_limits<std::int64_t>::max();
    std::int32_t end = input.model.layers;
    for (std::size_t i = input.nodes.size(); i-- > 0;) {
        StagePlan& stage = plan.stages[i];
        stage.node = input.nodes[i].id;
        stage.layers = {table.from[i][static_cast<std::size_t>(end)], end};
        stage.has_embedding = has_embedding(i);
        stage.has_head = has_head(input, i);
        stage.weight_bytes = stage_weight_bytes(input, i, stage.layers);
        stage.kv_blocks = stage_kv_blocks(input, i, stage.layers);
        stage.decode_us = stage_decode_us(input, i, stage.layers);
        stage.link_us = link_row_us(input, i);
        plan.kv_blocks = std::min(plan.kv_blocks, stage.kv_blocks);
        plan.slowest_us = std::max({plan.slowest_us, stage.decode_us, stage.link_us});
        end = stage.layers.begin;
    }
    return plan;
}

}  // namespace

std::int64_t stage_weight_bytes(const PartitionInput& input, std::size_t index, LayerRange layers) {
    const PartitionModel& model = input.model;
    return layers.size() * model.layer_bytes + (has_embedding(index) ? model.embedding_bytes : 0) +
           (has_head(input, index) ? model.head_bytes : 0);
}

std::int64_t stage_kv_blocks(const PartitionInput& input, std::size_t index, LayerRange layers) {
    const PartitionModel& model = input.model;
    const std::int64_t rest = input.nodes[index].memory_bytes -
                              stage_weight_bytes(input, index, layers) - model.workspace_bytes;
    if (rest < 0) return -1;
    const std::int64_t block = layers.size() * model.kv_layer_block_bytes;
    return block <= 0 ? std::numeric_limits<std::int64_t>::max() : rest / block;
}

double stage_decode_us(const PartitionInput& input, std::size_t index, LayerRange layers) {
    const PartitionNode& node = input.nodes[index];
    return layers.size() * node.decode_layer_us + (has_head(input, index) ? node.head_row_us : 0);
}

double link_row_us(const PartitionInput& input, std::size_t index) {
    const double rate = input.nodes[index].link_to_next.bytes_per_s;
    if (rate <= 0 || index + 1 >= input.nodes.size()) return 0;
    return static_cast<double>(input.model.activation_row_bytes) / rate * 1e6;
}

Result<PartitionPlan> search_split(const PartitionInput& input, const StageCost& cost) {
    const std::size_t nodes = input.nodes.size();
    const std::int32_t layers = input.model.layers;
    if (nodes == 0 || nodes > limits::kMaxNodes) {
        return invalid_argument("split over {} nodes: 1 to {} are possible", nodes,
                                limits::kMaxNodes);
    }
    if (layers < static_cast<std::int32_t>(nodes)) {
        return invalid_argument("split of {} layers over {} nodes: every node needs at least one",
                                layers, nodes);
    }
    const Table fastest = minimise_largest(nodes, layers, [&](std::size_t i, LayerRange range) {
        return permitted(input, i, range) ? cost(i, range) : kInfinity;
    });
    const double best = fastest.best[nodes - 1][static_cast<std::size_t>(layers)];
    if (!std::isfinite(best)) return explain_no_split(input);

    const double bound = best > 0 ? best * kTolerance : best;
    const Table roomiest = minimise_largest(nodes, layers, [&](std::size_t i, LayerRange range) {
        if (!permitted(input, i, range) || cost(i, range) > bound) return kInfinity;
        return -static_cast<double>(stage_kv_blocks(input, i, range));
    });
    return build_plan(input, roomiest);
}

Status check_partition(const PartitionInput& input, const PartitionPlan& plan) {
    if (plan.stages.size() != input.nodes.size()) {
        return make_error(StatusCode::internal, "partition has {} stages for {} nodes",
                          plan.stages.size(), input.nodes.size());
    }
    std::int32_t next = 0;
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
        const StagePlan& stage = plan.stages[i];
        const PartitionNode& node = input.nodes[i];
        if (stage.node != node.id || stage.layers.begin != next || stage.layers.empty() ||
            stage.has_embedding != has_embedding(i) || stage.has_head != has_head(input, i)) {
            return make_error(
                StatusCode::internal,
                "partition gives stage {} ('{}') layers {}-{}; they must follow layer {} "
                "and hold at least one",
                i, node.name, stage.layers.begin, stage.layers.end - 1, next - 1);
        }
        if (!permitted(input, i, stage.layers)) {
            return make_error(StatusCode::resource_exhausted,
                              "partition gives '{}' layers {}-{}: they do not fit its memory of {} "
                              "bytes or contradict its override",
                              node.name, stage.layers.begin, stage.layers.end - 1,
                              node.memory_bytes);
        }
        next = stage.layers.end;
    }
    if (next != input.model.layers) {
        return make_error(StatusCode::internal, "partition places {} of {} layers", next,
                          input.model.layers);
    }
    return {};
}

}  // namespace molink
