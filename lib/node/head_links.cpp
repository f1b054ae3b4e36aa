// Links are measured before the first plan, and again for nodes that are new: workers are asked in
// turn to dial the peers they may have to send to, and the head answers those that dial it. The
// plan waits for it, never for long: what does not answer in time is logged and done without.
#include "base/error.h"
#include "base/limits.h"
#include "node/head_node.h"

namespace molink {
namespace {

std::vector<NodeId> with_head(NodeId head, const std::vector<NodeId>& order) {
    std::vector<NodeId> nodes{head};
    for (NodeId id : order) {
        if (id != head) nodes.push_back(id);
    }
    return nodes;
}

}  // namespace

/// True while links between the nodes of `order` are being measured.
bool HeadNode::survey_links(const std::vector<NodeId>& order) {
    std::vector<NodeId> nodes;
    if (config_.probe_links && order.size() > 1) nodes = with_head(kHead, order);
    const bool before = survey_.going();
    const LinkSurvey::Turn turn = survey_.advance(nodes, clock_.now_us());
    for (const auto& [a, b] : turn.late) {
        log_(LogLevel::warning, "nodes {} and {} did not say how fast the link between them is",
             a.value, b.value);
    }
    for (const auto& [first, second] : turn.begin) {
        const bool head = second == kHead;
        const std::string address = head ? "" : find_member(second)->info.address;
        send(first, Lane::control, ProbeLink{second, address, false});
        if (head) continue;
        send(second, Lane::control, ProbeLink{first, find_member(first)->info.address, true});
    }
    if (turn.going != before) changed();
    return turn.going;
}

/// Those between the nodes of `order` and the head.
std::vector<PartitionLink> HeadNode::known_links(const std::vector<NodeId>& order) const {
    if (!config_.probe_links) return {};
    return survey_.links(with_head(kHead, order));
}

void HeadNode::on_probe(NodeId node, const LinkProbe& probe) {
    if (!survey_.take(node, probe, clock_.now_us())) {
        log_(LogLevel::debug, "node {} reports a link that nobody asked for", node.value);
    } else if (!probe.reached) {
        const Member* target = find_member(probe.to);
        log_(LogLevel::warning, "node '{}' cannot reach '{}': no answer within {} s",
             find_member(node)->info.name,
             target != nullptr ? target->info.name : config_.identity.name,
             limits::kProbeWithinUs / 1'000'000);
    }
}

/// A link that is only there to be measured, when a member was asked to dial it.
bool HeadNode::take_prober(LinkId link, const Message& message) {
    const auto* hello = std::get_if<ProbeHello>(&message);
    const bool asked =
        hello != nullptr && strangers_.contains(link) && survey_.under_way(hello->node, kHead);
    const bool taken = prober_.take(link, kHead, message, asked, clock_.now_us());
    if (taken) strangers_.erase(link);
    return taken;
}

}  // namespace molink
