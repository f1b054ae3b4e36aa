#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <molink/cluster.h>
#include <molink/partitioner.h>

#include "node/head_config.h"
#include "node/link_survey.h"
#include "node/membership.h"

namespace molink {

/// Plans pipelines: which nodes, measured over which links, with which layers. Runs the cluster and
/// the partition policy and checks what they say; what they throw becomes an error that names them.
/// Sends nothing. Thread: the head's loop.
class ClusterPlanner {
public:
    /// `config` must outlive it. Neither policy is null.
    ClusterPlanner(const HeadConfig& config, std::unique_ptr<Cluster> cluster,
                   std::unique_ptr<Partitioner> partitioner);

    /// May the node join? Errors are for it to read.
    Status admit(const NodeInfo& node, const std::vector<NodeInfo>& members);
    /// The nodes of the next pipeline; empty while some are missing. Errors: internal when the
    /// policy throws, or selects a node twice or one that is not a member.
    Result<std::vector<NodeId>> select(const std::vector<NodeInfo>& members);
    /// What is missing, for people; empty when nothing is.
    std::string missing(const std::vector<NodeInfo>& members) const;

    /// Returns which nodes to ask next for the links that a plan over `order` needs. The survey is
    /// over when the turn is not going. Links are measured between processes; each stands for all
    /// its devices by the node of its first one.
    LinkSurvey::Turn survey(const std::vector<NodeId>& order, const Membership& membership,
                            std::int64_t now_us);
    /// Returns true while these two measure.
    bool surveys(NodeId a, NodeId b) const { return survey_.under_way(a, b); }
    bool surveying() const { return survey_.going(); }
    /// Adds a result that `reporter` sent. Returns false when nobody asked for it.
    bool on_probe(NodeId reporter, const LinkProbe& probe, std::int64_t now_us);
    void forget(NodeId node) { survey_.forget(node); }
    std::int64_t next_timer_us() const { return survey_.next_timer_us(); }

    /// Splits the layers over `order`. Errors: those of the partitioner, of check_partition, and
    /// internal for a node that is not a member.
    Result<PartitionReport> plan(const std::vector<NodeId>& order,
                                 const Membership& membership) const;

private:
    /// What is known of the links between `nodes`. Devices of one process need none.
    std::vector<PartitionLink> links(const std::vector<NodeId>& nodes,
                                     const Membership& membership) const;
    Result<PartitionInput> input(const std::vector<NodeId>& order,
                                 const Membership& membership) const;

    const HeadConfig& config_;
    std::unique_ptr<Cluster> cluster_;
    std::string cluster_name_;  // "cluster policy 'seed'"
    std::unique_ptr<Partitioner> partitioner_;
    std::string partitioner_name_;  // "partitioner 'cost'"
    LinkSurvey survey_;
};

}  // namespace molink
