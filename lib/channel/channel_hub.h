#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "channel/message_channel.h"

namespace molink {

/// A full-duplex association with one peer: two transport connections (urgent lanes, bulky lanes)
/// that survive resets. Local number, never reused.
using PeerLinkId = Id<struct PeerLinkTag, std::uint64_t>;

/// What a hub tells its node. Called inside poll() and on_timer(), on the node's loop; may call
/// send() and close() of the hub.
class HubSink {
public:
    virtual ~HubSink() = default;
    /// Both connections are there for the first time. `dialed`: by us.
    virtual void on_link_up(PeerLinkId link, bool dialed) = 0;
    /// A connection was reset; the hub goes on trying, messages wait.
    virtual void on_link_interrupted(PeerLinkId link) = 0;
    /// Back after an interruption; nothing was lost or doubled.
    virtual void on_link_resumed(PeerLinkId link) = 0;
    /// Over for good: the peer does not know the link any more (restarted), refused the protocol
    /// version or sent nonsense. Not called for close() by us.
    virtual void on_link_lost(PeerLinkId link, const Status& reason) = 0;
    /// A whole message, once, in order within its lane.
    virtual void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) = 0;
};

using TransmitPolicyFactory = std::function<std::unique_ptr<TransmitPolicy>()>;

struct HubOptions {
    ChannelOptions channel;
    TransmitPolicyFactory policy;  ///< empty: make_fair_transmit_policy
    std::uint64_t seed = 0;        ///< of link tokens; production draws it from the system
    std::size_t max_links = 0;     ///< 0: limits::kMaxNodes; further peers are refused
};

/// All links of one node over one transport. Frames carry link, lane, epoch, sequence number and
/// checksum; acknowledgements, window and pacing per connection; resumes after a cut.
/// Thread: the node's loop, except wake().
class ChannelHub {
public:
    virtual ~ChannelHub() = default;
    /// Begins to dial a peer's hub. on_link_up follows; retries until close().
    virtual Result<PeerLinkId> dial(const std::string& address) = 0;
    /// Queues a message that belongs to `epoch`. Errors: not_found (no such link),
    /// resource_exhausted (queue limit).
    virtual Status send(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) = 0;
    /// Measures the sending direction of an idle link: probe trains one close after the other,
    /// until ChannelStats::probed. `on` false: none goes until then.
    virtual void probe(PeerLinkId link, bool on) = 0;
    /// Drops a link and what is queued on it, after telling the peer if it can be told at once.
    virtual void close(PeerLinkId link) = 0;
    /// From now on messages of older epochs of this pipeline are dropped on this link: those that
    /// are queued and not begun yet, and those that arrive. Messages in the control lane are kept.
    virtual void set_epoch(PeerLinkId link, PipelineEpoch epoch) = 0;
    /// Waits up to timeout_us, less if a timer of the hub is due, handles what arrived, then sends
    /// what may be sent. Returns the number of transport events.
    virtual std::size_t poll(std::int64_t timeout_us) = 0;
    virtual void wake() = 0;
    /// Bytes queued or unacknowledged towards a link; 0 when there is none.
    virtual std::size_t pending_bytes(PeerLinkId link) const = 0;
    virtual ChannelStats stats(PeerLinkId link) const = 0;
};

/// `transport`, `clock` and `sink` must outlive the hub.
std::unique_ptr<ChannelHub> make_channel_hub(Transport& transport, const Clock& clock,
                                             HubSink& sink, const HubOptions& options);

}  // namespace molink
