// What a stage and a link cost, in one place, so that search, prediction and check cannot disagree.
// Stage times are additive over layers and layers are alike; the searches rely on both. Which stage
// holds the embedding and the LM head follows from its layers, once the end that has the LM head is
// chosen.
#include "partition/stage_costs.h"

#include <algorithm>
#include <unordered_map>

#include "kv/capacity.h"

namespace molink {
namespace {

double scale_of_rows(const PartitionNode& node, double rows) {
    if (node.decode_layer_us <= 0) return 1;
    const double row_us =
        node.decode_row_layer_us > 0 ? node.decode_row_layer_us : node.prefill_row_layer_us;
    return 1 + (rows - 1) * row_us / node.decode_layer_us;
}

/// A slice reads every weight, however few its rows.
double slice_layer_us(const PartitionNode& node, double rows) {
    return std::max(node.decode_layer_us, rows * node.prefill_row_layer_us);
}

/// Tokens of output that one prompt is asked for.
double outputs_of_prompt(const PartitionWorkload& work) {
    return std::max(work.output_tokens, 1);
}

/// Rows of prompts for each token of output.
double prompt_rows(const PartitionWorkload& work) {
    return std::max(work.prompt_tokens, 0) / outputs_of_prompt(work);
}

}  // namespace

PartitionInput with_lm_head(const PartitionInput& input, bool first) {
    PartitionInput placed = input;
    placed.lm_head = first ? LmHead::first : LmHead::last;
    return placed;
}

bool stage_has_head(const PartitionInput& input, LayerRange layers) {
    return input.lm_head == LmHead::first ? layers.begin == 0 : layers.end == input.model.layers;
}

std::int64_t stage_weight_bytes(const PartitionInput& input, std::size_t, LayerRange layers) {
    return stage_memory(input.model, layers, layers.begin == 0, stage_has_head(input, layers))
        .weight_bytes;
}

std::int64_t stage_kv_blocks(const PartitionInput& input, std::size_t index, LayerRange layers) {
    const PartitionModel& model = input.model;
    StageMemory memory =
        stage_memory(model, layers, layers.begin == 0, stage_has_head(input, layers));
    memory.memory_bytes = input.nodes[index].memory_bytes;
    return kv_capacity(memory);
}

bool stage_permitted(const PartitionInput& input, std::size_t index, LayerRange layers) {
    const auto& fixed = input.nodes[index].fixed;
    if (fixed && !(*fixed == layers)) return false;
    return stage_kv_blocks(input, index, layers) >= input.model.min_blocks;
}

double stage_decode_us(const PartitionInput& input, std::size_t index, LayerRange layers,
                       double rows) {
    const PartitionNode& node = input.nodes[index];
    const double head = stage_has_head(input, layers) ? node.head_row_us : 0;
    return (layers.size() * node.decode_layer_us + head) * scale_of_rows(node, rows);
}

double stage_slice_us(const PartitionInput& input, std::size_t index, LayerRange layers,
                      double rows) {
    const PartitionNode& node = input.nodes[index];
    return layers.size() * slice_layer_us(node, rows) +
           (stage_has_head(input, layers) ? node.head_row_us : 0);
}

double stage_work_us(const PartitionInput& input, std::size_t index, LayerRange layers,
                     double rows) {
    const PartitionWorkload& work = input.workload;
    const double slice = std::max(std::min(work.slice_tokens, work.prompt_tokens), 1);
    const double row_us = slice_layer_us(input.nodes[index], slice) / slice;
    return stage_decode_us(input, index, layers, rows) +
           layers.size() * rows * prompt_rows(work) * row_us;
}

double link_us(const LinkModel& link, double bytes) {
    return link.bytes_per_s > 0 ? bytes / link.bytes_per_s * 1e6 : 0;
}

double link_work_us(const PartitionInput& input, const LinkModel& link, double rows, bool back) {
    const auto row_bytes = static_cast<double>(input.model.activation_row_bytes);
    const double prompts =
        back ? 1 / outputs_of_prompt(input.workload) : prompt_rows(input.workload);
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

double return_us(const PartitionInput& input, const LinkTable& links, std::size_t last,
                 std::size_t first) {
    if (input.lm_head != LmHead::first) return leave_us(input, links, last);
    const double back = last == first ? 0 : hop_us(input, links, last, first);
    return back + leave_us(input, links, first);
}

}  // namespace molink
