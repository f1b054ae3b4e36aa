// Who is in the cluster: hellos, refusals, liveness. A node counts as lost after silence, after a
// reset that is not healed in time, or at once when it breaks the protocol; links that never say
// hello are closed. Only the head owns deadlines.
#include <algorithm>

#include "base/error.h"
#include "base/limits.h"
#include "node/head_node.h"
#include "wire/protocol.h"

namespace molink {

HeadNode::Member* HeadNode::find_member(NodeId node) {
    return const_cast<Member*>(static_cast<const HeadNode*>(this)->find_member(node));
}

const HeadNode::Member* HeadNode::find_member(NodeId node) const {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [&](const Member& member) { return member.info.id == node; });
    return found == members_.end() ? nullptr : &*found;
}

HeadNode::Member* HeadNode::member_of(LinkId link) {
    const auto found = node_of_link_.find(link);
    return found == node_of_link_.end() ? nullptr : find_member(found->second);
}

std::vector<NodeInfo> HeadNode::member_infos() const {
    std::vector<NodeInfo> infos;
    for (const Member& member : members_) {
        infos.push_back(member.info);
        infos.back().memory_bytes = memory_share(member);
    }
    return infos;
}

void HeadNode::on_link_up(LinkId link, bool) {
    strangers_[link] = clock_.now_us();
}

void HeadNode::on_link_interrupted(LinkId link) {
    Member* member = member_of(link);
    if (member == nullptr) return;
    member->interrupted_us = clock_.now_us();
    log_(LogLevel::warning, "link to '{}' interrupted", member->info.name);
    changed();
}

void HeadNode::on_link_resumed(LinkId link) {
    Member* member = member_of(link);
    if (member == nullptr) return;
    member->interrupted_us = 0;
    member->info.last_heard_us = clock_.now_us();
    log_(LogLevel::info, "link to '{}' resumed", member->info.name);
    changed();
}

void HeadNode::on_link_lost(LinkId link, const Status& reason) {
    strangers_.erase(link);
    doomed_.erase(link);
    if (prober_.owns(link)) prober_.on_link_lost(link);
    Member* member = member_of(link);
    if (member != nullptr) lose_node(member->info.id, reason.message());
}

/// Two processes cannot listen at one address: the one we knew is gone, though nobody told us.
void HeadNode::lose_former(const std::string& address) {
    const auto former = std::find_if(members_.begin(), members_.end(), [&](const Member& member) {
        return member.info.id != kHead && member.info.address == address;
    });
    if (former == members_.end()) return;
    lose_node(former->info.id, "it was restarted: another process joined from " + address);
}

void HeadNode::on_hello(LinkId link, const Hello& hello) {
    const Status fits = check_hello(hello, config_.identity, config_.partition_model);
    if (!fits.ok()) {
        refuse(link, fits);
        return;
    }
    lose_former(hello.advertise);
    const std::vector<NodeInfo> infos = member_infos();
    NodeInfo info;
    info.id = NodeId(next_node_);
    info.name = hello.node_name;
    info.address = hello.advertise;
    info.host_id = hello.host_id;
    info.fixed_layers = hello.layers;
    info.decode_layer_us = hello.profile.decode_layer_us;
    info.last_heard_us = clock_.now_us();
    Status admitted;
    if (members_.size() >= limits::kMaxNodes) {
        admitted = make_error(StatusCode::resource_exhausted, "{} nodes are here already",
                              members_.size());
    }
    if (admitted.ok()) admitted = policies_.cluster->admit(info, infos);
    if (!admitted.ok()) {
        refuse(link, admitted);
        return;
    }
    ++next_node_;
    strangers_.erase(link);
    Member member;
    member.info = info;
    member.link = link;
    member.profile = hello.profile;
    member.memory_own = hello.memory_own;
    member.offered_bytes = static_cast<std::int64_t>(hello.memory_bytes);
    members_.push_back(std::move(member));
    node_of_link_[link] = info.id;
    log_(LogLevel::info, "node '{}' joined from {}", info.name, info.address);
    send(info.id, Lane::control, Welcome{info.id, config_.identity.name, kProtocolMinor});
    rebuild_ = true;
    changed();
}

void HeadNode::refuse(LinkId link, const Status& reason) {
    log_(LogLevel::warning, "peer refused: {}", reason.message());
    dismiss(link, {reason.code(), reason.message()});
}

void HeadNode::dismiss(LinkId link, const Refuse& words) {
    strangers_.erase(link);
    node_of_link_.erase(link);
    doomed_[link] = clock_.now_us() + limits::kFarewellUs;
    const Status sent = hub_->send(link, Lane::control, {}, encode_message(words));
    if (!sent.ok()) log_(LogLevel::debug, "farewell not sent: {}", sent.message());
}

void HeadNode::close_doomed(std::int64_t now_us) {
    for (auto it = doomed_.begin(); it != doomed_.end();) {
        if (hub_->pending_bytes(it->first) > 0 && now_us < it->second) {
            ++it;
            continue;
        }
        hub_->close(it->first);
        it = doomed_.erase(it);
    }
}

void HeadNode::lose_node(NodeId node, const std::string& reason) {
    Member* member = find_member(node);
    if (member == nullptr || node == kHead) return;
    const std::string name = member->info.name;
    survey_.forget(node);
    const auto stage = ring_.find(node);
    std::string text = fmt::format("node '{}'", name);
    if (stage) {
        const LayerRange layers = ring_.stage(*stage).layers;
        text += fmt::format(" (layers {}-{})", layers.begin, layers.end - 1);
    }
    text += " was lost: " + reason;
    log_(LogLevel::error, "{}", text);
    dismiss(member->link, {StatusCode::unavailable, "the head gave this node up: " + reason});
    members_.erase(std::find_if(members_.begin(), members_.end(),
                                [&](const Member& other) { return other.info.id == node; }));
    if (stage) end_pipeline(Status(StatusCode::unavailable, text));
    last_error_ = text;
    build_error_ = Status();
    rebuild_ = true;
    changed();
}

void HeadNode::check_liveness(std::int64_t now_us) {
    const std::vector<Member> members = members_;
    for (const Member& member : members) {
        if (member.info.id == kHead) continue;
        const std::int64_t silent = now_us - member.info.last_heard_us;
        if (member.interrupted_us != 0 &&
            now_us - member.interrupted_us > config_.reconnect_within_us) {
            lose_node(member.info.id,
                      fmt::format("its connection was reset and did not come back within {:.1f} s",
                                  static_cast<double>(config_.reconnect_within_us) / 1e6));
        } else if (silent > config_.node_lost_after_us) {
            lose_node(member.info.id,
                      fmt::format("no sign of life for {:.1f} s (limit {:.1f} s)",
                                  static_cast<double>(silent) / 1e6,
                                  static_cast<double>(config_.node_lost_after_us) / 1e6));
        }
    }
    std::vector<LinkId> late;
    for (const auto& [link, since] : strangers_) {
        if (now_us - since > limits::kHelloWithinUs) late.push_back(link);
    }
    for (LinkId link : late) {
        refuse(link, make_error(StatusCode::deadline_exceeded, "no hello within {} s",
                                limits::kHelloWithinUs / 1'000'000));
    }
}

}  // namespace molink
