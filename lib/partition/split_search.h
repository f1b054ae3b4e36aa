#pragma once

#include <functional>
#include <vector>

#include <molink/partitioner.h>

namespace molink {

/// Weight bytes that node `index` of `input` holds with `layers`.
std::int64_t stage_weight_bytes(const PartitionInput& input, std::size_t index, LayerRange layers);

/// KV blocks that fit beside the weights and the workspace; negative when not even those fit.
std::int64_t stage_kv_blocks(const PartitionInput& input, std::size_t index, LayerRange layers);

/// Predicted time of one decode row on the stage, us.
double stage_decode_us(const PartitionInput& input, std::size_t index, LayerRange layers);

/// Predicted time of one row on the link from node `index` to the next, us; 0 when unknown or last.
double link_row_us(const PartitionInput& input, std::size_t index);

/// Cost of giving `layers` to node `index`.
using StageCost = std::function<double(std::size_t index, LayerRange layers)>;

/// Contiguous split of all layers over all nodes in order, at least one layer each, that minimises
/// the largest cost; among splits within 2 % of it, the one whose smallest stage holds the most KV
/// blocks. Exact, O(nodes x layers^2). Errors as Partitioner::partition.
Result<PartitionPlan> search_split(const PartitionInput& input, const StageCost& cost);

}  // namespace molink
