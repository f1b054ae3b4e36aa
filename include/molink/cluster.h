#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

enum class NodeState : std::uint8_t {
    joined,   ///< accepted, holds nothing yet
    loading,  ///< reading its layers
    ready,    ///< serves its stage
    stalled,  ///< silent or its connection was reset; waited for
    lost,     ///< given up
};

/// "joined", ... Static storage.
MOLINK_EXPORT std::string_view node_state_name(NodeState state);

/// One node of a cluster.
struct NodeInfo {
    NodeId id;
    std::string name;
    std::string address;  ///< what others dial; empty for the head's own stage
    std::string host_id;  ///< equal on one machine
    NodeState state = NodeState::joined;
    std::int64_t memory_bytes = 0;           ///< its share: weights, workspace and KV
    std::optional<LayerRange> fixed_layers;  ///< the operator's override
    double decode_layer_us = 0;              ///< measured: one layer, one row
    LayerRange layers;                       ///< empty while it holds none
    std::int64_t weight_bytes = 0;
    std::int64_t loaded_bytes = 0;  ///< of weight_bytes, while loading
    std::int64_t kv_blocks = 0;
    std::int64_t last_heard_us = 0;  ///< head's clock
    std::string left_out;            ///< why the pipeline does without it; empty when it does not
};

/// Decides who belongs to a cluster, when it is complete, and in which order its nodes stand. It
/// does not decide when a silent node is lost; NodeOptions::node_lost_after_us does. Pure policy:
/// sends nothing, reads no clock. Thread: the head's loop. Deterministic.
class MOLINK_EXPORT Cluster {
public:
    virtual ~Cluster();
    /// Short name for logs. Static storage.
    virtual std::string_view name() const = 0;
    /// Whether `node` may join `members`, which include the head's own stage. Errors are sent to
    /// the node.
    virtual Status admit(const NodeInfo& node, std::span<const NodeInfo> members) = 0;
    /// Returns the nodes that form the pipeline, in order; none while some are missing. The head's
    /// own stage, when there is one, is expected first.
    virtual std::vector<NodeId> select(std::span<const NodeInfo> members) = 0;
    /// Whether stages must follow the order of select(). If not, the partitioner may change it.
    virtual bool fixed_order() const { return false; }
    /// Returns what is missing, for people: "2 of 3 nodes are here; missing 1". Empty if complete.
    virtual std::string missing(std::span<const NodeInfo> members) = 0;
};

/// Anyone who knows the head's address may join; complete with `stages` nodes. Order: the head,
/// then as overrides ask, then by arrival, as long as the partitioner finds no better one.
MOLINK_EXPORT std::unique_ptr<Cluster> make_seed_cluster(std::int32_t stages);

/// Exactly the nodes of these names, in this order; others are refused. The head's own stage is
/// called by the engine's node name.
MOLINK_EXPORT std::unique_ptr<Cluster> make_static_cluster(std::vector<std::string> names);

}  // namespace molink
