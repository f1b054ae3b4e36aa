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
    joined,   ///< accepted, has no layers yet
    loading,  ///< reading its layers
    ready,    ///< serves its stage
    stalled,  ///< silent, or its connection was reset; the head still waits for it
    lost,     ///< the head no longer waits for it
};

/// Returns the name of a state, such as "joined". Static storage.
MOLINK_EXPORT std::string_view node_state_name(NodeState state);

/// One node of a cluster: a device that can hold a stage. The nodes of a process with several
/// devices share its address and its fate, and are named after process and device.
struct NodeInfo {
    NodeId id;
    std::string name;
    std::string device;   ///< such as "cpu:0"
    std::string address;  ///< other nodes connect to it; empty for a device of the head
    std::string host_id;  ///< equal for all nodes on one machine
    NodeState state = NodeState::joined;
    std::int64_t memory_bytes = 0;           ///< for weights, workspace and KV together
    std::optional<LayerRange> fixed_layers;  ///< set by the operator
    double decode_layer_us = 0;              ///< measured time of one layer for one row
    LayerRange layers;                       ///< empty while the node has none
    std::int64_t weight_bytes = 0;
    std::int64_t loaded_bytes = 0;  ///< part of weight_bytes that is loaded
    std::int64_t kv_blocks = 0;
    std::int64_t last_heard_us = 0;  ///< by the head's clock
    std::string left_out;            ///< why the pipeline does not use the node; empty if it does
};

/// Decides which nodes belong to a cluster, when the cluster is complete, and the order of its
/// nodes. It does not decide when a silent node is lost: NodeOptions::node_lost_after_us does. An
/// implementation is a pure policy: it sends nothing, reads no clock and is deterministic. What
/// admit() throws refuses the node; what select() or fixed_order() throws is an error of the engine
/// until the members change. Thread: the head's loop.
class MOLINK_EXPORT Cluster {
public:
    virtual ~Cluster();
    /// Short name for logs. Static storage.
    virtual std::string_view name() const = 0;
    /// Returns ok when `node` may join `members`, which include the head's own stage. An error is
    /// sent to the node.
    virtual Status admit(const NodeInfo& node, std::span<const NodeInfo> members) = 0;
    /// Returns the nodes that form the pipeline, in order, each once, or none while some are
    /// missing. The head's own stage, if there is one, must come first. Nodes that were left out
    /// until they join again are not among `members`.
    virtual std::vector<NodeId> select(std::span<const NodeInfo> members) = 0;
    /// Returns true when stages must follow the order of select(). Otherwise the partitioner may
    /// change the order.
    virtual bool fixed_order() const { return false; }
    /// Returns a readable text of what is missing, such as "2 of 3 nodes are here; missing 1". The
    /// text is empty when the cluster is complete.
    virtual std::string missing(std::span<const NodeInfo> members) = 0;
};

/// Any node that knows the head's address may join. The cluster is complete with `stages` nodes.
/// Order: a node that is fixed to the first layers, nodes without fixed layers by arrival, then the
/// other fixed nodes by their layers. The partitioner may choose a better order.
MOLINK_EXPORT std::unique_ptr<Cluster> make_seed_cluster(std::int32_t stages);

/// The cluster consists of the nodes with these names, in this order. Other nodes are refused. The
/// head's own stage has the engine's node name.
MOLINK_EXPORT std::unique_ptr<Cluster> make_static_cluster(std::vector<std::string> names);

}  // namespace molink
