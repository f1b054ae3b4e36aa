#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/link.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// A node as a partitioner sees it; times measured on its own device.
struct PartitionNode {
    NodeId id;
    std::string name;
    std::int64_t memory_bytes = 0;    ///< for weights, workspace and KV together
    double decode_layer_us = 0;       ///< one layer, one row
    double prefill_row_layer_us = 0;  ///< one layer, per row
    double head_row_us = 0;           ///< LM head, one row
    LinkModel link_to_next;           ///< towards the node after it in the order given
    std::optional<LayerRange> fixed;  ///< the operator's override
};

/// Sizes of the model, in bytes as the nodes will hold them.
struct PartitionModel {
    std::int32_t layers = 0;
    std::int64_t layer_bytes = 0;
    std::int64_t embedding_bytes = 0;
    std::int64_t head_bytes = 0;            ///< LM head, also when tied (it is packed apart)
    std::int64_t workspace_bytes = 0;       ///< per node
    std::int64_t kv_layer_block_bytes = 0;  ///< one KV block of one layer
    std::int64_t min_blocks = 0;            ///< the pipeline is of no use with fewer
    std::int64_t activation_row_bytes = 0;  ///< one row on a link
};

struct PartitionInput {
    PartitionModel model;
    std::vector<PartitionNode> nodes;  ///< in pipeline order
};

/// What one node holds.
struct StagePlan {
    NodeId node;
    LayerRange layers;
    bool has_embedding = false;
    bool has_head = false;
    std::int64_t weight_bytes = 0;
    std::int64_t kv_blocks = 0;  ///< that would fit
    double decode_us = 0;        ///< predicted, one row
    double link_us = 0;          ///< predicted, one row onto the link to the next
};

struct PartitionPlan {
    std::vector<StagePlan> stages;  ///< contiguous, in order, every stage at least one layer
    std::int64_t kv_blocks = 0;     ///< of the smallest stage
    double slowest_us = 0;          ///< predicted, the slowest stage or link
};

/// Splits the layers over nodes. Pure policy.
/// Thread: the head's loop. Deterministic.
class MOLINK_EXPORT Partitioner {
public:
    virtual ~Partitioner();
    /// Short name for logs and metrics. Static storage.
    virtual std::string_view name() const = 0;
    /// Errors: resource_exhausted when no split fits (with needed and available bytes),
    /// invalid_argument when the overrides contradict each other (names and ranges).
    virtual Result<PartitionPlan> partition(const PartitionInput& input) = 0;
};

/// Equal numbers of layers, overrides and memory respected.
MOLINK_EXPORT std::unique_ptr<Partitioner> make_even_partitioner();
/// Least slowest resource (stage or link) under every node's memory, exact by dynamic programming
/// for the order given; among splits within 2 %, the one with the most KV blocks. The default.
MOLINK_EXPORT std::unique_ptr<Partitioner> make_cost_partitioner();

/// Checks a plan against its input: order, coverage, overrides, memory. What the head does with the
/// plan of any partitioner.
MOLINK_EXPORT Status check_partition(const PartitionInput& input, const PartitionPlan& plan);

}  // namespace molink
