#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <molink/cluster.h>

#include "channel/channel_hub.h"
#include "node/node_identity.h"
#include "wire/messages.h"

namespace molink {

/// A node that was admitted, as the head knows it.
struct Member {
    NodeInfo info;    ///< what belongs to a pipeline (layers, bytes, blocks) stays empty here
    PeerLinkId link;  ///< of workers
    NodeProfile profile;
    std::string memory_domain;
    bool memory_own = false;
    std::int64_t offered_bytes = 0;
    std::int64_t interrupted_us = 0;           ///< since when; 0: connected
    std::optional<StageLinkReport> next_link;  ///< as it reported last
};

/// Who is in the cluster, and whose peer link is whose. Invariant: a link belongs to a stranger
/// (connected, no hello yet), to a member, or is dismissed (told to go and about to be closed), and
/// never to two of them. Knows all deadlines of nodes, sends nothing. Thread: the head's loop.
class Membership {
public:
    struct Patience {
        std::int64_t node_lost_after_us = 0;   ///< of silence
        std::int64_t reconnect_within_us = 0;  ///< after a reset
    };
    explicit Membership(Patience patience) : patience_(patience) {}

    /// The head as the node of its own stage.
    void add_head(const NodeIdentity& identity);
    /// Describes a node that says `hello`, for the decision whether it may join.
    Member introduce(const Hello& hello, std::int64_t now_us) const;
    /// A stranger becomes the member that introduce() described.
    void add(PeerLinkId link, Member member);
    /// Its link is dismissed, or lost.
    void remove(NodeId node);

    std::span<const Member> members() const { return members_; }
    /// All members but the head.
    std::vector<NodeId> workers() const;
    /// Null when there is none.
    const Member* find(NodeId node) const;
    Member* find(NodeId node);
    const Member* find_by_link(PeerLinkId link) const;
    Member* find_by_link(PeerLinkId link);
    const Member* find_by_address(const std::string& address) const;
    /// Descriptions of all members, with their shares of memory and whether they are waited for.
    std::vector<NodeInfo> infos() const;
    /// Bytes that a member may use. Members of one memory domain share it evenly, except those for
    /// which an amount was set.
    std::int64_t memory_share(const Member& member) const;

    void add_stranger(PeerLinkId link, std::int64_t now_us) { strangers_[link] = now_us; }
    bool is_stranger(PeerLinkId link) const { return strangers_.contains(link); }
    /// The link serves something else, or is gone.
    void forget_link(PeerLinkId link);
    /// The link is closed when its last words are sent, at `until_us` at the latest.
    void dismiss(PeerLinkId link, std::int64_t until_us);
    bool is_dismissed(PeerLinkId link) const { return dismissed_.contains(link); }
    /// Removes and returns dismissed links that may be closed now.
    std::vector<PeerLinkId> release_dismissed(std::int64_t now_us,
                                              const std::function<bool(PeerLinkId)>& flushed);

    // What is heard of a member's link. Each returns the member, or null when it is nobody's.
    const Member* on_heard(PeerLinkId link, std::int64_t now_us);
    const Member* on_interrupted(PeerLinkId link, std::int64_t now_us);
    const Member* on_resumed(PeerLinkId link, std::int64_t now_us);

    struct Loss {
        NodeId node;
        std::string reason;
    };
    /// Members whose time is up.
    std::vector<Loss> overdue(std::int64_t now_us) const;
    /// Strangers that have said nothing for too long.
    std::vector<PeerLinkId> late_strangers(std::int64_t now_us) const;
    /// Brings NodeState::stalled up to date. True when it changed for a member.
    bool note_silence(std::int64_t now_us);

private:
    Patience patience_;
    std::vector<Member> members_;
    std::map<PeerLinkId, NodeId> node_of_link_;
    std::map<PeerLinkId, std::int64_t> strangers_;  // since when
    std::map<PeerLinkId, std::int64_t> dismissed_;  // closed at this time at the latest
    std::uint32_t next_node_ = 1;
};

}  // namespace molink
