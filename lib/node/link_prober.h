#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "wire/messages.h"

namespace molink {

/// Measures links of this node over peer links that exist for nothing else: they are dialled or
/// accepted, carry probe trains and are closed. Of two nodes, one measures first and then the
/// other, because acknowledgements that wait behind trains the other way would tell nothing. A
/// worker that is asked to measure the link to a peer dials it; the head measures on the worker's
/// peer link. Thread: the node's loop.
class LinkProber {
public:
    explicit LinkProber(Log log) : log_(log) {}

    void attach(ChannelHub& hub) { hub_ = &hub; }

    /// Measures the link from this node (`self`) to the one that listens at `target.address`.
    void dial(NodeId self, const ProbeLink& target, std::int64_t now_us);
    /// Handles a message of a peer link that is being measured. A ProbeHello from any other link
    /// begins to measure it when that is `welcome`. Returns false when the message is neither.
    bool handle(PeerLinkId link, NodeId self, const Message& message, bool welcome,
                std::int64_t now_us);
    /// Returns true when the link is being measured. The calls below are for such links only.
    bool owns(PeerLinkId link) const { return probes_.contains(link); }
    void on_link_up(PeerLinkId link);
    void on_link_lost(PeerLinkId link);
    /// Closes all links that are being measured: the head that asked for them is gone.
    void drop();

    /// Continues after acknowledgements and time-outs. Returns the results of links that this node
    /// dialled and that are done: the way back, if it was measured, then the way there.
    std::vector<LinkProbe> pump(std::int64_t now_us);
    /// When pump() is due at the latest.
    std::int64_t next_timer_us() const;

private:
    enum class Step : std::uint8_t {
        reaching,   // dialled: until the hello is acknowledged
        queued,     // until it is our turn
        measuring,  // trains go
        waiting,    // for the other end
        over,
    };
    struct Probe {
        NodeId self;
        NodeId peer;
        bool dialed = false;
        bool up = false;
        bool both_ways = false;    // the other end measures on this link too
        std::int64_t turn_us = 0;  // our turn, unless the other end is at it
        Step step = Step::waiting;
        std::int64_t until_us = 0;
        std::optional<LinkProbe> own;   // what was measured here: the other end may close the link
        std::optional<LinkProbe> back;  // what the other end measured
    };

    bool accept(PeerLinkId link, NodeId self, NodeId peer, std::int64_t now_us);
    void on_message(PeerLinkId link, const Message& message);
    bool has_accepted(NodeId peer) const;
    Probe* dialed_to(NodeId peer);
    LinkProbe measured(PeerLinkId link, const Probe& probe) const;
    void advance(PeerLinkId link, Probe& probe, std::int64_t now_us);
    void send(PeerLinkId link, const Message& message);
    void conclude(PeerLinkId link, Probe& probe, std::vector<LinkProbe>& results);

    Log log_;
    ChannelHub* hub_ = nullptr;
    std::map<PeerLinkId, Probe> probes_;
};

}  // namespace molink
