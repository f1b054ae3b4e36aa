// Who is in the cluster. A node counts as lost after silence, or after a reset that is not healed
// in time; until then it is shown as stalled. Node ids are never used again, so that what comes
// late from a node that left is nobody's.
#include "node/membership.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "base/seconds.h"

namespace molink {

Member Membership::make_member(NodeId process, std::size_t device, const std::string& name,
                               std::span<const NodeDevice> devices) {
    Member member;
    member.info.id = NodeId(process.value + static_cast<std::uint32_t>(device));
    member.info.name = node_name(name, devices, device);
    member.info.device = devices[device].name;
    member.info.decode_layer_us = devices[device].profile.decode_layer_us;
    member.process = process;
    member.process_name = name;
    member.device = devices[device];
    return member;
}

void Membership::add_head(const NodeIdentity& identity, const PeerIdentity& self) {
    for (std::size_t i = 0; i < identity.devices.size(); ++i) {
        Member head = make_member(kHeadNode, i, identity.name, identity.devices);
        head.info.host_id = identity.host_id;
        head.key = self.key;
        head.info.fixed_layers = identity.layers;
        members_.push_back(std::move(head));
    }
    next_node_ = static_cast<std::uint32_t>(identity.devices.size());
}

std::vector<Member> Membership::introduce(const Hello& hello, std::int64_t now_us) const {
    std::vector<Member> nodes;
    for (std::size_t i = 0; i < hello.devices.size(); ++i) {
        Member member = make_member(NodeId(next_node_), i, hello.node_name, hello.devices);
        member.protocol_minor = hello.protocol_minor;
        member.info.address = hello.advertise;
        member.info.host_id = hello.host_id;
        member.info.fixed_layers = hello.layers;
        member.info.last_heard_us = now_us;
        nodes.push_back(std::move(member));
    }
    return nodes;
}

void Membership::add(PeerLinkId link, std::vector<Member> nodes, const PeerIdentity& peer) {
    assert(!nodes.empty() && nodes.front().info.id == NodeId(next_node_));
    assert(!node_of_link_.contains(link));
    next_node_ += static_cast<std::uint32_t>(nodes.size());
    strangers_.forget(link);
    node_of_link_[link] = nodes.front().info.id;
    for (Member& member : nodes) {
        member.link = link;
        member.key = peer.key;
        members_.push_back(std::move(member));
    }
}

void Membership::remove(NodeId node) {
    const Member* member = find(node);
    if (member == nullptr) return;
    node_of_link_.erase(member->link);
    std::erase_if(members_, [process = member->process](const Member& other) {
        return other.process == process;
    });
}

std::vector<NodeId> Membership::workers() const {
    std::vector<NodeId> nodes;
    for (const Member& member : members_) {
        if (!member.on_head() && member.info.id == member.process) nodes.push_back(member.process);
    }
    return nodes;
}

bool Membership::same_process(NodeId a, NodeId b) const {
    const Member* first = find(a);
    const Member* second = find(b);
    return first != nullptr && second != nullptr && first->process == second->process;
}

NodeId Membership::process_of(NodeId node) const {
    const Member* member = find(node);
    return member == nullptr ? node : member->process;
}

std::vector<NodeId> Membership::processes(std::span<const NodeId> nodes) const {
    std::vector<NodeId> processes;
    for (NodeId node : nodes) {
        const NodeId process = process_of(node);
        if (std::find(processes.begin(), processes.end(), process) == processes.end()) {
            processes.push_back(process);
        }
    }
    return processes;
}

void Membership::set_reports(
    NodeId process, std::span<const StageLinkReport> reports,
    const std::function<std::optional<NodeId>(const StageLinkReport&)>& node_of) {
    for (Member& member : members_) {
        if (member.process == process) member.next_link.reset();
    }
    for (const StageLinkReport& report : reports) {
        const std::optional<NodeId> node = node_of(report);
        Member* member = node ? find(*node) : nullptr;
        if (member != nullptr && member->process == process) member->next_link = report;
    }
}

const Member* Membership::find(NodeId node) const {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const Member& member) { return member.info.id == node; });
    return found == members_.end() ? nullptr : &*found;
}

Member* Membership::find(NodeId node) {
    return const_cast<Member*>(std::as_const(*this).find(node));
}

const Member* Membership::find_by_link(PeerLinkId link) const {
    const auto found = node_of_link_.find(link);
    return found == node_of_link_.end() ? nullptr : find(found->second);
}

const Member* Membership::find_by_address(const std::string& address) const {
    const auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& member) {
        return !member.on_head() && member.info.address == address;
    });
    return found == members_.end() ? nullptr : &*found;
}

const Member* Membership::find_by_key(const PublicKey& key) const {
    const auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& member) {
        return !member.on_head() && member.key == key;
    });
    return found == members_.end() ? nullptr : &*found;
}

std::vector<NodeInfo> Membership::infos() const {
    std::vector<NodeInfo> infos;
    for (const Member& member : members_) {
        infos.push_back(member.info);
        infos.back().memory_bytes = memory_share(member);
        infos.back().left_out = member.unfit;
    }
    return infos;
}

void Membership::keep_fit(std::vector<NodeInfo>& infos) const {
    std::erase_if(infos, [this](const NodeInfo& info) {
        const Member* member = find(info.id);
        return member != nullptr && !member->unfit.empty();
    });
}

std::int64_t Membership::memory_share(const Member& member) const {
    const NodeDevice& device = member.device;
    std::uint64_t smallest = device.memory_bytes;
    std::uint64_t sharers = 1;
    for (const Member& other : members_) {
        const NodeDevice& beside = other.device;
        const bool shares = !device.memory_own && !beside.memory_own &&
                            beside.memory_domain == device.memory_domain &&
                            other.info.id != member.info.id;
        if (!shares) continue;
        smallest = std::min(smallest, beside.memory_bytes);
        ++sharers;
    }
    return static_cast<std::int64_t>(smallest / sharers);
}

void Membership::forget_link(PeerLinkId link) {
    strangers_.forget(link);
    dismissed_.erase(link);
}

void Membership::dismiss(PeerLinkId link, std::int64_t until_us) {
    strangers_.forget(link);
    node_of_link_.erase(link);
    dismissed_[link] = until_us;
}

std::vector<PeerLinkId> Membership::release_dismissed(
    std::int64_t now_us, const std::function<bool(PeerLinkId)>& flushed) {
    std::vector<PeerLinkId> released;
    std::erase_if(dismissed_, [&](const auto& item) {
        const bool due = now_us >= item.second || flushed(item.first);
        if (due) released.push_back(item.first);
        return due;
    });
    return released;
}

const Member* Membership::update(PeerLinkId link, const std::function<void(Member&)>& change) {
    const Member* first = find_by_link(link);
    if (first == nullptr) return nullptr;
    for (Member& member : members_) {
        if (member.process == first->process) change(member);
    }
    return first;
}

const Member* Membership::on_heard(PeerLinkId link, std::int64_t now_us) {
    return update(link, [&](Member& member) { member.info.last_heard_us = now_us; });
}

const Member* Membership::on_interrupted(PeerLinkId link, std::int64_t now_us) {
    return update(link, [&](Member& member) {
        member.interrupted_us = now_us;
        member.info.state = NodeState::stalled;
    });
}

const Member* Membership::on_resumed(PeerLinkId link, std::int64_t now_us) {
    return update(link, [&](Member& member) {
        member.interrupted_us = 0;
        member.info.last_heard_us = now_us;
        member.info.state = NodeState::joined;
    });
}

std::vector<Membership::Loss> Membership::overdue(std::int64_t now_us) const {
    std::vector<Loss> losses;
    for (const Member& member : members_) {
        if (member.on_head() || member.info.id != member.process) continue;
        const std::int64_t silent = now_us - member.info.last_heard_us;
        if (member.interrupted_us != 0 &&
            now_us - member.interrupted_us > patience_.reconnect_within_us) {
            losses.push_back(
                {member.info.id,
                 fmt::format("its connection was reset and did not come back within {:.1f} s",
                             seconds(patience_.reconnect_within_us))});
        } else if (silent > patience_.node_lost_after_us) {
            losses.push_back({member.info.id,
                              fmt::format("no sign of life for {:.1f} s (limit {:.1f} s)",
                                          seconds(silent), seconds(patience_.node_lost_after_us))});
        }
    }
    return losses;
}

bool Membership::note_silence(std::int64_t now_us) {
    bool changed = false;
    for (Member& member : members_) {
        if (member.on_head()) continue;
        const NodeState state = member.silent(now_us) ? NodeState::stalled : NodeState::joined;
        changed |= std::exchange(member.info.state, state) != state;
    }
    return changed;
}

}  // namespace molink
