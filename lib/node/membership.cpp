// Who is in the cluster. A node counts as lost after silence, or after a reset that is not healed
// in time; until then it is shown as stalled. Node ids are never used again, so that what comes
// late from a node that left is nobody's.
#include "node/membership.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/error.h"
#include "base/limits.h"

namespace molink {
namespace {

double seconds(std::int64_t us) {
    return static_cast<double>(us) / 1e6;
}

}  // namespace

void Membership::add_head(const NodeIdentity& identity) {
    Member head;
    head.info.id = kHeadNode;
    head.info.name = identity.name;
    head.info.host_id = identity.host_id;
    head.info.fixed_layers = identity.layers;
    head.info.decode_layer_us = identity.profile.decode_layer_us;
    head.profile = identity.profile;
    head.memory_domain = identity.memory_domain;
    head.memory_own = identity.memory_own;
    head.offered_bytes = identity.memory_bytes;
    members_.push_back(std::move(head));
}

Member Membership::introduce(const Hello& hello, std::int64_t now_us) const {
    Member member;
    member.info.id = NodeId(next_node_);
    member.info.name = hello.node_name;
    member.info.address = hello.advertise;
    member.info.host_id = hello.host_id;
    member.info.fixed_layers = hello.layers;
    member.info.decode_layer_us = hello.profile.decode_layer_us;
    member.info.last_heard_us = now_us;
    member.profile = hello.profile;
    member.memory_domain = hello.memory_domain;
    member.memory_own = hello.memory_own;
    member.offered_bytes = static_cast<std::int64_t>(hello.memory_bytes);
    return member;
}

void Membership::add(PeerLinkId link, Member member) {
    assert(member.info.id == NodeId(next_node_) && !node_of_link_.contains(link));
    ++next_node_;
    strangers_.erase(link);
    member.link = link;
    node_of_link_[link] = member.info.id;
    members_.push_back(std::move(member));
}

void Membership::remove(NodeId node) {
    const Member* member = find(node);
    if (member == nullptr) return;
    node_of_link_.erase(member->link);
    members_.erase(members_.begin() + (member - members_.data()));
}

std::vector<NodeId> Membership::workers() const {
    std::vector<NodeId> nodes;
    for (const Member& member : members_) {
        if (member.info.id != kHeadNode) nodes.push_back(member.info.id);
    }
    return nodes;
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

Member* Membership::find_by_link(PeerLinkId link) {
    return const_cast<Member*>(std::as_const(*this).find_by_link(link));
}

const Member* Membership::find_by_address(const std::string& address) const {
    const auto found = std::find_if(members_.begin(), members_.end(), [&](const Member& member) {
        return member.info.id != kHeadNode && member.info.address == address;
    });
    return found == members_.end() ? nullptr : &*found;
}

std::vector<NodeInfo> Membership::infos() const {
    std::vector<NodeInfo> infos;
    for (const Member& member : members_) {
        infos.push_back(member.info);
        infos.back().memory_bytes = memory_share(member);
    }
    return infos;
}

std::int64_t Membership::memory_share(const Member& member) const {
    if (member.memory_own) return member.offered_bytes;
    std::int64_t smallest = member.offered_bytes;
    std::int64_t sharers = 0;
    for (const Member& other : members_) {
        if (other.memory_own || other.memory_domain != member.memory_domain) continue;
        smallest = std::min(smallest, other.offered_bytes);
        ++sharers;
    }
    return smallest / std::max<std::int64_t>(sharers, 1);
}

void Membership::forget_link(PeerLinkId link) {
    strangers_.erase(link);
    dismissed_.erase(link);
}

void Membership::dismiss(PeerLinkId link, std::int64_t until_us) {
    strangers_.erase(link);
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

const Member* Membership::on_heard(PeerLinkId link, std::int64_t now_us) {
    Member* member = find_by_link(link);
    if (member == nullptr) return nullptr;
    member->info.last_heard_us = now_us;
    return member;
}

const Member* Membership::on_interrupted(PeerLinkId link, std::int64_t now_us) {
    Member* member = find_by_link(link);
    if (member == nullptr) return nullptr;
    member->interrupted_us = now_us;
    member->info.state = NodeState::stalled;
    return member;
}

const Member* Membership::on_resumed(PeerLinkId link, std::int64_t now_us) {
    Member* member = find_by_link(link);
    if (member == nullptr) return nullptr;
    member->interrupted_us = 0;
    member->info.last_heard_us = now_us;
    member->info.state = NodeState::joined;
    return member;
}

std::vector<Membership::Loss> Membership::overdue(std::int64_t now_us) const {
    std::vector<Loss> losses;
    for (const Member& member : members_) {
        if (member.info.id == kHeadNode) continue;
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

std::vector<PeerLinkId> Membership::late_strangers(std::int64_t now_us) const {
    std::vector<PeerLinkId> late;
    for (const auto& [link, since_us] : strangers_) {
        if (now_us - since_us > limits::kHelloWithinUs) late.push_back(link);
    }
    return late;
}

bool Membership::note_silence(std::int64_t now_us) {
    bool changed = false;
    for (Member& member : members_) {
        if (member.info.id == kHeadNode) continue;
        const bool silent = now_us - member.info.last_heard_us > limits::kStalledAfterUs;
        const bool stalled = silent || member.interrupted_us != 0;
        const NodeState state = stalled ? NodeState::stalled : NodeState::joined;
        changed |= std::exchange(member.info.state, state) != state;
    }
    return changed;
}

}  // namespace molink
