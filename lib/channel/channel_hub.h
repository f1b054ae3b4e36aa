#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "channel/message_channel.h"

namespace molink {

/// Names a peer link: the two-way association with one peer over two transport connections (urgent
/// lanes, bulky lanes). It survives resets of them. Ids are local and never reused.
using PeerLinkId = Id<struct PeerLinkTag, std::uint64_t>;

/// Receives the events of a hub. poll() makes these calls on the node's loop. They may call send()
/// and close() of the hub.
class HubSink {
public:
    virtual ~HubSink() = default;
    /// See TransportSink::permits().
    virtual bool permits(const PublicKey& key) = 0;
    /// Both connections are up for the first time. `dialed`: this node made them.
    virtual void on_link_up(PeerLinkId link, bool dialed) = 0;
    /// A connection was reset. The hub waits for it or dials again, and messages wait.
    virtual void on_link_interrupted(PeerLinkId link) = 0;
    /// The peer link is up again. No message was lost or duplicated.
    virtual void on_link_resumed(PeerLinkId link) = 0;
    /// The peer link has ended: the peer closed it, no longer knows it (restarted), refused the
    /// protocol version or sent invalid frames. Not called after close() of this hub.
    virtual void on_link_lost(PeerLinkId link, const Status& reason) = 0;
    /// The host name of a link that this node dials was resolved after it could not be (ok), or
    /// cannot be, and why. Called when that changes.
    virtual void on_resolved(PeerLinkId link, const Status& outcome);
    /// A complete message arrived. Each message arrives once and in order within its lane.
    virtual void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) = 0;
};

using TransmitPolicyFactory = std::function<std::unique_ptr<TransmitPolicy>()>;

struct HubOptions {
    ChannelOptions channel;
    TransmitPolicyFactory policy;  ///< empty: make_fair_transmit_policy
    std::uint64_t seed = 0;        ///< seed of link tokens
    std::size_t max_links = 0;     ///< further peers are refused; 0: limits::kMaxPeerLinks
    /// Draws link tokens from a source that nobody can predict; empty: from `seed`.
    std::function<std::uint64_t()> draw_token = {};
};

/// All peer links of one node over one transport. Frames have a peer link, lane, epoch, sequence
/// number and checksum. The hub acknowledges them, limits and paces what it sends, and resumes
/// after a cut.
/// Thread: the node's loop, except wake().
class ChannelHub {
public:
    virtual ~ChannelHub() = default;
    /// Begins to dial a peer's hub and retries until close(). on_link_up() follows.
    virtual Result<PeerLinkId> dial(const DialTarget& target) = 0;
    /// Who is at the other end. It is the same on all connections that carry the link.
    virtual PeerIdentity identity(PeerLinkId link) const = 0;
    /// The peer of an accepted link is one that this node works with. Until then its messages may
    /// have limits::kMaxUntrustedMessageBytes, and the link ends when places run short.
    virtual void trust(PeerLinkId link) = 0;
    /// Queues a message that belongs to `epoch`. Errors: not_found (no such link),
    /// resource_exhausted (queue limit).
    virtual Status send(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) = 0;
    /// Measures the sending direction of an idle peer link: sends probe trains in quick succession
    /// until ChannelStats::probed is set. With `on` false, sends no trains until the next call with
    /// true.
    virtual void probe(PeerLinkId link, bool on) = 0;
    /// Drops a peer link and its queued messages. Tells the peer if that is possible without
    /// waiting.
    virtual void close(PeerLinkId link) = 0;
    /// Drops messages of older epochs of this pipeline on this peer link from now on: those that
    /// are queued and not started, and those that arrive. Messages of the control lane are kept.
    virtual void set_epoch(PeerLinkId link, PipelineEpoch epoch) = 0;
    /// Waits up to timeout_us, or until a timer of the hub is due. Handles the events and then
    /// sends as far as window and pace permit. Returns the number of transport events.
    virtual std::size_t poll(std::int64_t timeout_us) = 0;
    virtual void wake() = 0;
    /// Bytes that are queued or unacknowledged on a peer link; 0 for an unknown one.
    virtual std::size_t pending_bytes(PeerLinkId link) const = 0;
    virtual ChannelStats stats(PeerLinkId link) const = 0;
};

/// `transport`, `clock` and `sink` must outlive the hub.
std::unique_ptr<ChannelHub> make_channel_hub(Transport& transport, const Clock& clock,
                                             HubSink& sink, const HubOptions& options);

}  // namespace molink
