// Plans for pipelines. Links are measured before the first plan, and again for nodes that are new:
// workers dial the peers that they may have to send to, and the head answers those that dial it. A
// plan waits for that, never for long. What policies say is checked before anything is built on it.
#include "node/cluster_planner.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/foreign.h"

namespace molink {
namespace {

std::vector<NodeId> with_head(const std::vector<NodeId>& order) {
    std::vector<NodeId> nodes{kHeadNode};
    for (NodeId id : order) {
        if (id != kHeadNode) nodes.push_back(id);
    }
    return nodes;
}

}  // namespace

ClusterPlanner::ClusterPlanner(const HeadConfig& config, std::unique_ptr<Cluster> cluster,
                               std::unique_ptr<Partitioner> partitioner)
    : config_(config),
      cluster_(std::move(cluster)),
      cluster_name_(fmt::format("cluster policy '{}'", foreign_name(*cluster_))),
      partitioner_(std::move(partitioner)),
      partitioner_name_(fmt::format("partitioner '{}'", foreign_name(*partitioner_))) {}

Status ClusterPlanner::admit(const NodeInfo& node, const std::vector<NodeInfo>& members) {
    return call_foreign(cluster_name_, [&] { return cluster_->admit(node, members); });
}

Result<std::vector<NodeId>> ClusterPlanner::select(const std::vector<NodeInfo>& members) {
    auto order = call_foreign(
        cluster_name_, [&]() -> Result<std::vector<NodeId>> { return cluster_->select(members); });
    if (!order) return order;
    for (auto node = order->begin(); node != order->end(); ++node) {
        const bool member = std::any_of(members.begin(), members.end(),
                                        [&](const NodeInfo& info) { return info.id == *node; });
        if (member && std::find(order->begin(), node, *node) == node) continue;
        return make_error(StatusCode::internal, "{} selected node {}, which is {}", cluster_name_,
                          node->value, member ? "there twice" : "unknown");
    }
    return order;
}

std::string ClusterPlanner::missing(const std::vector<NodeInfo>& members) const {
    const auto text = call_foreign(
        cluster_name_, [&]() -> Result<std::string> { return cluster_->missing(members); });
    return text ? *text : text.error().message();
}

LinkSurvey::Turn ClusterPlanner::survey(const std::vector<NodeId>& order,
                                        const Membership& membership, std::int64_t now_us) {
    std::vector<NodeId> processes;
    if (config_.probe_links && order.size() > 1) {
        processes = membership.processes(with_head(order));
    }
    if (processes.size() == 1) processes.clear();
    return survey_.advance(processes, now_us);
}

std::vector<PartitionLink> ClusterPlanner::links(const std::vector<NodeId>& nodes,
                                                 const Membership& membership) const {
    std::map<NodeId, std::vector<NodeId>> nodes_of;  // by process
    for (NodeId node : nodes) nodes_of[membership.process_of(node)].push_back(node);
    std::vector<PartitionLink> links;
    for (const PartitionLink& link : survey_.links(membership.processes(nodes))) {
        for (NodeId from : nodes_of.at(link.from)) {
            for (NodeId to : nodes_of.at(link.to)) links.push_back({from, to, link.model});
        }
    }
    return links;
}

bool ClusterPlanner::on_probe(NodeId reporter, const LinkProbe& probe, std::int64_t now_us) {
    return survey_.add_result(reporter, probe, now_us);
}

Result<PartitionInput> ClusterPlanner::input(const std::vector<NodeId>& order,
                                             const Membership& membership) const {
    PartitionInput input;
    input.model = config_.partition_model;
    input.workload = config_.workload;
    input.objective = config_.objective;
    input.lm_head = config_.lm_head;
    MOLINK_ASSIGN_OR_RETURN(input.fixed_order, call_foreign(cluster_name_, [&]() -> Result<bool> {
                                return cluster_->fixed_order();
                            }));
    input.pin_first = order.front() == kHeadNode;
    for (NodeId id : order) {
        const Member* member = membership.find(id);
        if (member == nullptr) {
            return make_error(StatusCode::internal, "{} selected node {}, which is unknown",
                              cluster_name_, id.value);
        }
        PartitionNode node;
        node.id = id;
        node.name = member->info.name;
        node.memory_bytes = membership.memory_share(*member);
        const NodeProfile& profile = member->device.profile;
        node.decode_layer_us = profile.decode_layer_us;
        node.prefill_row_layer_us = profile.prefill_row_layer_us;
        node.lm_head_row_us = profile.lm_head_row_us;
        node.decode_row_layer_us = profile.decode_row_layer_us;
        node.fixed = member->info.fixed_layers;
        input.nodes.push_back(std::move(node));
    }
    if (config_.probe_links) input.links = links(with_head(order), membership);
    return input;
}

Result<PartitionReport> ClusterPlanner::plan(const std::vector<NodeId>& order,
                                             const Membership& membership) const {
    MOLINK_ASSIGN_OR_RETURN(PartitionInput asked, input(order, membership));
    MOLINK_ASSIGN_OR_RETURN(PartitionPlan plan, call_foreign(partitioner_name_, [&] {
                                return partitioner_->partition(asked);
                            }));
    MOLINK_RETURN_IF_ERROR(complete_partition(asked, plan));
    MOLINK_RETURN_IF_ERROR(check_partition(asked, plan));
    return PartitionReport{std::move(asked), std::move(plan)};
}

}  // namespace molink
