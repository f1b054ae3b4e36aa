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

#include "base/limits.h"
#include "channel/channel_hub.h"
#include "node/node_identity.h"
#include "node/strangers.h"
#include "ring/ring.h"
#include "wire/messages.h"
#include "wire/protocol.h"

namespace molink {

/// A node that was admitted, as the head knows it: a device of the head or of a worker. The nodes
/// of one process share its peer link and its fate.
struct Member {
    NodeInfo info;   ///< what belongs to a pipeline (layers, bytes, blocks) stays empty here
    NodeId process;  ///< the node of the first device of the same process
    std::string process_name;
    std::uint16_t protocol_minor = kProtocolMinor;  ///< of its process
    PeerLinkId link;                                ///< of workers
    std::optional<PublicKey> key;                   ///< of its process; none without keys
    NodeDevice device;
    std::int64_t interrupted_us = 0;  ///< since when; 0: connected
    std::string unfit;  ///< why no pipeline uses it until it joins again; empty: it may
    std::optional<StageLinkReport> next_link;  ///< as it reported last
    std::string unreachable;  ///< address of the next stage that it could not reach; empty: none

    bool on_head() const { return process == kHeadNode; }
    /// Equal for nodes that compute with the same cores: those of a machine, whichever control
    /// group its memory belongs to (DeviceMemory::domain).
    const std::string& cores_domain() const {
        const std::string& host = info.host_id;
        const bool of_host = !host.empty() && device.memory_domain.starts_with(host);
        return of_host ? host : device.memory_domain;
    }
    /// Nothing was heard of it lately, or its connection was reset and did not come back yet.
    bool silent(std::int64_t now_us) const {
        return interrupted_us != 0 || now_us - info.last_heard_us > limits::kStalledAfterUs;
    }
};

/// Who is in the cluster, and whose peer link is whose. Invariant: a link belongs to a stranger
/// (connected, no hello yet), to the members of one process, or is dismissed (told to go and about
/// to be closed), and never to two of them. Knows all deadlines of nodes, sends nothing. Thread:
/// the head's loop.
class Membership {
public:
    struct Patience {
        std::int64_t node_lost_after_us = 0;   ///< of silence
        std::int64_t reconnect_within_us = 0;  ///< after a reset
    };
    explicit Membership(Patience patience) : patience_(patience) {}

    /// The devices of the head as nodes of its own stages; the first is kHeadNode.
    void add_head(const NodeIdentity& identity, const PeerIdentity& self);
    /// Describes the nodes of a process that says `hello`, for the decision whether it may join.
    std::vector<Member> introduce(const Hello& hello, std::int64_t now_us) const;
    /// A stranger becomes the members that introduce() described.
    void add(PeerLinkId link, std::vector<Member> nodes, const PeerIdentity& peer);
    /// The link of a process is dismissed, or lost: all its nodes go.
    void remove(NodeId node);

    std::span<const Member> members() const { return members_; }
    /// The first node of each worker.
    std::vector<NodeId> workers() const;
    /// Null when there is none.
    const Member* find(NodeId node) const;
    Member* find(NodeId node);
    /// The first node of the process at the other end of a link.
    const Member* find_by_link(PeerLinkId link) const;
    const Member* find_by_address(const std::string& address) const;
    const Member* find_by_key(const PublicKey& key) const;
    /// Returns the node of the first device of a node's process: the node itself if it is unknown.
    NodeId process_of(NodeId node) const;
    /// Returns whether both nodes are devices of one process.
    bool same_process(NodeId a, NodeId b) const;
    /// Returns the first node of each process of `nodes`, in their order.
    std::vector<NodeId> processes(std::span<const NodeId> nodes) const;
    /// Keeps the reports of a process. `node_of` tells whose a report is; one that is nobody's, or
    /// another process's, is dropped.
    void set_reports(NodeId process, std::span<const StageLinkReport> reports,
                     const std::function<std::optional<NodeId>(const StageLinkReport&)>& node_of);
    /// Descriptions of all members, with their shares of memory and whether they are waited for.
    std::vector<NodeInfo> infos() const;
    /// Removes the descriptions of members that no pipeline may use.
    void keep_fit(std::vector<NodeInfo>& infos) const;
    /// Bytes that a member may use. Members of one memory domain share it evenly, except those for
    /// which an amount was set.
    std::int64_t memory_share(const Member& member) const;

    void add_stranger(PeerLinkId link, std::int64_t now_us) { strangers_.add(link, now_us); }
    bool is_stranger(PeerLinkId link) const { return strangers_.contains(link); }
    /// The link serves something else, or is gone.
    void forget_link(PeerLinkId link);
    /// The link is closed when its last words are sent, at `until_us` at the latest.
    void dismiss(PeerLinkId link, std::int64_t until_us);
    bool is_dismissed(PeerLinkId link) const { return dismissed_.contains(link); }
    /// Removes and returns dismissed links that may be closed now.
    std::vector<PeerLinkId> release_dismissed(std::int64_t now_us,
                                              const std::function<bool(PeerLinkId)>& flushed);

    // What is heard of a process's link. Each returns its first node, or null when it is nobody's.
    const Member* on_heard(PeerLinkId link, std::int64_t now_us);
    const Member* on_interrupted(PeerLinkId link, std::int64_t now_us);
    const Member* on_resumed(PeerLinkId link, std::int64_t now_us);

    struct Loss {
        NodeId node;
        std::string reason;
    };
    /// Processes whose time is up, by their first node.
    std::vector<Loss> overdue(std::int64_t now_us) const;
    /// Strangers that have said nothing for too long.
    std::vector<PeerLinkId> late_strangers(std::int64_t now_us) const {
        return strangers_.late(now_us);
    }
    /// Brings NodeState::stalled up to date. True when it changed for a member.
    bool note_silence(std::int64_t now_us);

private:
    static Member make_member(NodeId process, std::size_t device, const std::string& name,
                              std::span<const NodeDevice> devices);
    /// Calls `change` with each node at the other end of a link. Returns the first of them.
    const Member* update(PeerLinkId link, const std::function<void(Member&)>& change);

    Patience patience_;
    std::vector<Member> members_;  // the nodes of a process are neighbours
    std::map<PeerLinkId, NodeId> node_of_link_;
    Strangers strangers_;
    std::map<PeerLinkId, std::int64_t> dismissed_;  // closed at this time at the latest
    std::uint32_t next_node_ = 1;
};

}  // namespace molink
