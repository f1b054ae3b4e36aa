// Computes what a stage and a link cost, in one place, so that search, prediction and check cannot
// disagree. The cost of a stage is a sum over its layers. The searches rely on that, and on longer
// ranges costing no less. The layers of a stage tell whether it holds the embedding or the LM head,
// once the place of the LM head is decided.
#include "partition/stage_costs.h"

#include <algorithm>
#include <unordered_map>

namespace molink {
namespace {

double batch_factor(const PartitionNode& node, double rows) {
    if (node.decode_layer_us <= 0) return 1;
    const double row_us =
        node.decode_row_layer_us > 0 ? node.decode_row_layer_us : node.prefill_row_layer_us;
    return 1 + (rows - 1) * row_us / node.decode_layer_us;
}

/// Returns the time of the measured layer for a slice. A slice reads every weight, even with few
/// rows.
double slice_layer_us(const PartitionNode& node, double rows) {
    return std::max(node.decode_layer_us, rows * node.prefill_row_layer_us);
}

/// Returns the tokens of output for each prompt.
double outputs_of_prompt(const PartitionWorkload& work) {
    return std::max(work.output_tokens, 1);
}

/// Returns the prefill rows for each token of output.
double prompt_rows(const PartitionWorkload& work) {
    return std::max(work.prompt_tokens, 0) / outputs_of_prompt(work);
}

}  // namespace

PartitionInput with_lm_head(const PartitionInput& input, bool first) {
    PartitionInput placed = input;
    placed.lm_head = first ? LmHead::first : LmHead::last;
    return placed;
}

RingShape planned_ring(const PartitionInput& input, std::size_t stages) {
    return {stages, input.lm_head == LmHead::first, false};
}

StageCosts::StageCosts(const PartitionInput& input)
    : input_(input), sums_(input.model.layers.size() + 1) {
    for (std::size_t i = 0; i < input.model.layers.size(); ++i) {
        const PartitionLayer& layer = input.model.layers[i];
        sums_[i + 1].weight_bytes = sums_[i].weight_bytes + layer.weight_bytes;
        sums_[i + 1].kv_block_bytes = sums_[i].kv_block_bytes + layer.kv_block_bytes;
        sums_[i + 1].state_bytes = sums_[i].state_bytes + layer.state_bytes;
        sums_[i + 1].decode_cost = sums_[i].decode_cost + layer.decode_cost;
        sums_[i + 1].prefill_cost = sums_[i].prefill_cost + layer.prefill_cost;
    }
}

bool StageCosts::has_lm_head(LayerRange layers) const {
    return input_.lm_head == LmHead::first ? layers.begin == 0
                                           : layers.end == input_.model.layer_count();
}

double StageCosts::decode_cost(LayerRange layers) const {
    return before(layers.end).decode_cost - before(layers.begin).decode_cost;
}

double StageCosts::prefill_cost(LayerRange layers) const {
    return before(layers.end).prefill_cost - before(layers.begin).prefill_cost;
}

StageMemory StageCosts::memory(std::size_t node, LayerRange layers) const {
    const PartitionModel& model = input_.model;
    const Sums& end = before(layers.end);
    const Sums& begin = before(layers.begin);
    StageMemory memory = stage_memory(model, {}, layers.begin == 0, has_lm_head(layers));
    memory.memory_bytes = input_.nodes[node].memory_bytes;
    memory.weight_bytes += end.weight_bytes - begin.weight_bytes;
    memory.sequence_state_bytes = end.state_bytes - begin.state_bytes;
    memory.kv_block_bytes = end.kv_block_bytes - begin.kv_block_bytes;
    return memory;
}

std::int64_t StageCosts::kv_blocks(std::size_t node, LayerRange layers) const {
    return kv_capacity(memory(node, layers));
}

bool StageCosts::fits(std::size_t node, LayerRange layers) const {
    return kv_blocks(node, layers) >= input_.model.min_blocks;
}

bool StageCosts::permitted(std::size_t node, LayerRange layers) const {
    const auto& fixed = input_.nodes[node].fixed;
    return (!fixed || *fixed == layers) && fits(node, layers);
}

StageRate StageCosts::rate(std::size_t node, double rows) const {
    const PartitionNode& info = input_.nodes[node];
    const PartitionWorkload& work = input_.workload;
    const double slice = std::max(std::min(work.slice_tokens, work.prompt_tokens), 1);
    StageRate rate;
    rate.decode_layer_us = info.decode_layer_us;
    rate.lm_head_us = info.lm_head_row_us;
    rate.batch_factor = batch_factor(info, rows);
    rate.rows = rows;
    rate.prompt_rows = prompt_rows(work);
    rate.prompt_row_us = slice_layer_us(info, slice) / slice;
    return rate;
}

double StageCosts::decode_us(std::size_t node, LayerRange layers, double rows) const {
    return rate(node, rows).decode_us(decode_cost(layers), has_lm_head(layers));
}

double StageCosts::slice_us(std::size_t node, LayerRange layers, double rows) const {
    const PartitionNode& info = input_.nodes[node];
    return prefill_cost(layers) * slice_layer_us(info, rows) +
           (has_lm_head(layers) ? info.lm_head_row_us : 0);
}

double StageCosts::work_us(std::size_t node, LayerRange layers, double rows) const {
    return rate(node, rows).work_us(decode_cost(layers), prefill_cost(layers), has_lm_head(layers));
}

double link_us(const LinkModel& link, double bytes) {
    return link.bytes_per_s > 0 ? bytes / link.bytes_per_s * 1e6 : 0;
}

double link_work_us(const PartitionInput& input, const LinkModel& link, double rows,
                    LinkCargo cargo) {
    if (cargo == LinkCargo::tokens) return 0;
    const auto row_bytes = static_cast<double>(input.model.activation_row_bytes);
    const double prompts = cargo == LinkCargo::sampled_rows ? 1 / outputs_of_prompt(input.workload)
                                                            : prompt_rows(input.workload);
    return link_us(link, rows * (1 + prompts) * row_bytes);
}

LinkTable::LinkTable(const PartitionInput& input)
    : width_(input.nodes.size()), head_(input.nodes.size()) {
    std::unordered_map<NodeId, std::size_t> index;
    for (std::size_t i = 0; i < input.nodes.size(); ++i) index[input.nodes[i].id] = i;
    const auto head = index.try_emplace(NodeId(0), width_);
    head_ = head.first->second;
    width_ = std::max(width_, head_ + 1);
    links_.resize(width_ * width_);
    for (const PartitionLink& link : input.links) {
        const auto from = index.find(link.from);
        const auto to = index.find(link.to);
        if (from == index.end() || to == index.end() || from == to) continue;
        links_[from->second * width_ + to->second] = link.model;
    }
}

double hop_us(const PartitionInput& input, const LinkTable& links, std::size_t from,
              std::size_t to) {
    const LinkModel& link = links.between(from, to);
    return link_us(link, static_cast<double>(input.model.activation_row_bytes)) +
           static_cast<double>(link.delay_us);
}

double enter_us(const PartitionInput& input, const LinkTable& links, std::size_t first) {
    const LinkModel& link = links.from_head(first);
    return link_us(link, static_cast<double>(input.model.token_row_bytes)) +
           static_cast<double>(link.delay_us);
}

double leave_us(const PartitionInput& input, const LinkTable& links, std::size_t last) {
    const LinkModel& link = links.to_head(last);
    return link_us(link, static_cast<double>(input.model.token_row_bytes)) +
           static_cast<double>(link.delay_us);
}

double return_us(const PartitionInput& input, const LinkTable& links, const RingShape& ring,
                 std::size_t last, std::size_t first) {
    if (!ring.returns()) return leave_us(input, links, last);
    return hop_us(input, links, last, first) + leave_us(input, links, first);
}

}  // namespace molink
