// What a head shows of its cluster: the state of its pipeline and its nodes, what is missing, and
// the links between them. Everything is copied from those that own it, and nothing is decided
// here.
#include "node/head_node.h"
#include "node/link_metrics.h"

namespace molink {

ClusterView HeadNode::view() const {
    ClusterView view;
    view.state = pipeline().state();
    view.epoch = pipeline().epoch().epoch.value;
    view.last_error = last_error_;
    view.nodes = node_infos();
    if (view.state == EngineState::waiting) {
        view.missing = planner_.missing(fit_nodes());
        if (view.missing.empty()) view.missing = build_error_.message();
        if (view.missing.empty() && planner_.surveying()) {
            view.missing = "the links between the nodes are being measured";
        }
        if (view.missing.empty() && config_.plan_only) view.missing = "this head only plans";
    } else if (view.state == EngineState::loading) {
        view.missing = pipeline().checks_tensors()
                           ? "nodes are loading; the head reads its own files to check them"
                           : "nodes are loading";
    }
    for (const RingStage& stage : pipeline().ring().stages()) view.stages.push_back(stage.node);
    return view;
}

std::vector<LinkMetrics> HeadNode::link_metrics() const {
    std::vector<LinkMetrics> links;
    for (NodeId worker : membership_.workers()) {
        const Member& member = *membership_.find(worker);
        links.push_back(make_link_metrics(config_.identity.name, member.process_name,
                                          hub_->stats(member.link)));
    }
    const Ring& ring = pipeline().ring();
    for (const Member& member : membership_.members()) {
        const auto stage = ring.find(member.info.id);
        if (!stage || !member.next_link || member.next_link->epoch != pipeline().epoch()) continue;
        const RingStage* next = ring.next(*stage);
        const bool to_head = next == nullptr || next->on_head();
        links.push_back(make_link_metrics(
            member.info.name,
            to_head ? config_.identity.name : membership_.find(next->node)->info.name,
            member.next_link->link));
    }
    return links;
}

}  // namespace molink
