#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <molink/status.h>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "wire/messages.h"

namespace molink {

/// The peer links between a worker's stage and those beside it in other processes. The stage dials
/// the one that it sends to and is dialled by the one that sends to it. Thread: the node's loop.
class StageNeighbours {
public:
    explicit StageNeighbours(Log log) : log_(log) {}
    void attach(ChannelHub& hub) { hub_ = &hub; }

    /// A new epoch begins without neighbours.
    void begin(PipelineEpoch epoch);
    /// Closes both links.
    void drop();

    /// Begins to dial the next stage, to which `hello` introduces this one. Errors: those of
    /// ChannelHub::dial.
    Status dial_next(const DialTarget& target, const PeerHello& hello, std::int64_t now_us);
    bool is_next(PeerLinkId link) const { return next_ == link; }
    /// The next stage can be reached and knows this one.
    bool next_ready() const;
    /// The link to the next stage, once it is up.
    std::optional<PeerLinkId> next() const;
    /// Queues a message for the next stage; it is dropped when that is lost. Errors: those of
    /// ChannelHub::send.
    Status send_next(Lane lane, const Message& message);
    /// The next stage was dialled and has not answered yet.
    bool never_reached_next() const { return next_ && !next_up_; }
    /// Errors: unavailable when the next stage has been away, or could not be reached, for longer
    /// than `patience_us`.
    Status check_next(std::int64_t now_us, std::int64_t patience_us) const;

    bool is_previous(PeerLinkId link) const { return previous_ == link; }
    /// A peer introduced itself as the previous stage. An earlier link of that stage is closed.
    void accept_previous(PeerLinkId link);

    void on_up(PeerLinkId link);
    void on_interrupted(PeerLinkId link, std::int64_t now_us);
    void on_resumed(PeerLinkId link);
    /// See HubSink::on_resolved().
    void on_resolved(PeerLinkId link, const Status& outcome);
    void on_lost(PeerLinkId link, const Status& reason, std::int64_t now_us);

private:
    Log log_;
    ChannelHub* hub_ = nullptr;
    PipelineEpoch epoch_;
    std::string next_address_;
    std::string unresolved_;  // why the host of that address cannot be resolved
    PeerHello hello_;
    std::optional<PeerLinkId> next_;  // none also while it is lost
    bool next_up_ = false;
    std::int64_t next_away_us_ = 0;  // since when; 0: connected, or not dialled
    std::optional<PeerLinkId> previous_;
};

}  // namespace molink
