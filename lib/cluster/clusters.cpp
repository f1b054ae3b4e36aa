// The built-in cluster policies: any node that knows the head's address, or a fixed list of names.
// Both only decide; the head node sends the messages.
// The order matters, because stages follow it.
#include <molink/cluster.h>
#include <algorithm>

#include "base/error.h"
#include "base/limits.h"

namespace molink {

Cluster::~Cluster() = default;

std::string_view node_state_name(NodeState state) {
    switch (state) {
        case NodeState::joined: return "joined";
        case NodeState::loading: return "loading";
        case NodeState::ready: return "ready";
        case NodeState::stalled: return "stalled";
        case NodeState::lost: return "lost";
    }
    return "unknown";
}

namespace {

bool same_name(std::span<const NodeInfo> members, const std::string& name) {
    return std::any_of(members.begin(), members.end(),
                       [&](const NodeInfo& member) { return member.name == name; });
}

class SeedCluster final : public Cluster {
public:
    explicit SeedCluster(std::int32_t stages) : stages_(static_cast<std::size_t>(stages)) {}

    std::string_view name() const override { return "seed"; }

    Status admit(const NodeInfo& node, std::span<const NodeInfo> members) override {
        if (members.size() >= stages_) {
            return make_error(StatusCode::resource_exhausted,
                              "the cluster of {} nodes is complete; '{}' is not needed", stages_,
                              node.name);
        }
        if (same_name(members, node.name)) {
            return make_error(StatusCode::unavailable, "a node called '{}' has already joined",
                              node.name);
        }
        return {};
    }

    std::vector<NodeId> select(std::span<const NodeInfo> members) override {
        if (members.size() < stages_) return {};
        std::vector<const NodeInfo*> order;
        for (const NodeInfo& member : members) order.push_back(&member);
        order.resize(stages_);
        place_overrides(order);
        std::vector<NodeId> ids;
        for (const NodeInfo* node : order) ids.push_back(node->id);
        return ids;
    }

    std::string missing(std::span<const NodeInfo> members) override {
        if (members.size() >= stages_) return {};
        return fmt::format("{} of {} nodes are here; missing {}", members.size(), stages_,
                           stages_ - members.size());
    }

private:
    /// Sorts nodes with fixed layers by these layers. A node that is fixed to the first layers goes
    /// to the front. Nodes that are fixed to later layers go behind those without fixed layers.
    static void place_overrides(std::vector<const NodeInfo*>& order) {
        const auto key = [](const NodeInfo* node) {
            if (!node->fixed_layers) return std::int32_t{0};
            const std::int32_t begin = node->fixed_layers->begin;
            return begin == 0 ? std::int32_t{-1} : begin;
        };
        std::stable_sort(order.begin(), order.end(),
                         [&](const NodeInfo* a, const NodeInfo* b) { return key(a) < key(b); });
    }

    std::size_t stages_;
};

class StaticCluster final : public Cluster {
public:
    explicit StaticCluster(std::vector<std::string> names) : names_(std::move(names)) {}

    std::string_view name() const override { return "static"; }
    bool fixed_order() const override { return true; }

    Status admit(const NodeInfo& node, std::span<const NodeInfo> members) override {
        if (std::find(names_.begin(), names_.end(), node.name) == names_.end()) {
            return invalid_argument("'{}' is not one of the {} nodes of this cluster", node.name,
                                    names_.size());
        }
        if (same_name(members, node.name)) {
            return make_error(StatusCode::unavailable, "a node called '{}' has already joined",
                              node.name);
        }
        return {};
    }

    std::vector<NodeId> select(std::span<const NodeInfo> members) override {
        std::vector<NodeId> ids;
        for (const std::string& name : names_) {
            const auto found =
                std::find_if(members.begin(), members.end(),
                             [&](const NodeInfo& node) { return node.name == name; });
            if (found == members.end()) return {};
            ids.push_back(found->id);
        }
        return ids;
    }

    std::string missing(std::span<const NodeInfo> members) override {
        std::string list;
        for (const std::string& name : names_) {
            if (!same_name(members, name)) list += (list.empty() ? "" : ", ") + name;
        }
        return list.empty() ? list : "missing nodes: " + list;
    }

private:
    std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<Cluster> make_seed_cluster(std::int32_t stages) {
    return std::make_unique<SeedCluster>(
        std::clamp<std::int32_t>(stages, 1, static_cast<std::int32_t>(limits::kMaxNodes)));
}

std::unique_ptr<Cluster> make_static_cluster(std::vector<std::string> names) {
    return std::make_unique<StaticCluster>(std::move(names));
}

}  // namespace molink
