#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <molink/status.h>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "wire/messages.h"

namespace molink {

/// The peer links between a worker's stage and those beside it. The stage dials the one that it
/// sends to and is dialled by the one that sends to it. Whoever connects is a stranger until it
/// introduces itself. Thread: the node's loop.
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
    Status dial_next(const std::string& address, const PeerHello& hello);
    bool is_next(PeerLinkId link) const { return next_ == link; }
    /// The next stage can be reached and knows this one.
    bool next_ready() const;
    /// The link to the next stage, once it is up.
    std::optional<PeerLinkId> next() const;
    /// Queues a message for the next stage; it is dropped when that is lost. Errors: those of
    /// ChannelHub::send.
    Status send_next(Lane lane, const Message& message);
    /// Errors: unavailable when the next stage has been away for longer than `patience_us`.
    Status check_next(std::int64_t now_us, std::int64_t patience_us) const;

    bool is_previous(PeerLinkId link) const { return previous_ == link; }
    void add_stranger(PeerLinkId link, std::int64_t now_us) { strangers_[link] = now_us; }
    bool is_stranger(PeerLinkId link) const { return strangers_.contains(link); }
    /// The link serves something else.
    void forget_stranger(PeerLinkId link) { strangers_.erase(link); }
    /// A stranger is the previous stage; one that was there before is closed.
    void accept_previous(PeerLinkId link);
    /// Closes a link of a peer that is not to be listened to.
    void refuse(PeerLinkId link);
    /// Closes links of strangers that have not introduced themselves in time.
    void close_late(std::int64_t now_us);

    void on_up(PeerLinkId link);
    void on_interrupted(PeerLinkId link, std::int64_t now_us);
    void on_resumed(PeerLinkId link);
    void on_lost(PeerLinkId link, const Status& reason, std::int64_t now_us);

private:
    Log log_;
    ChannelHub* hub_ = nullptr;
    PipelineEpoch epoch_;
    std::string next_address_;
    PeerHello hello_;
    std::optional<PeerLinkId> next_;  // none also while it is lost
    bool next_up_ = false;
    std::int64_t next_interrupted_us_ = 0;  // since when; 0: connected, or not dialled
    std::optional<PeerLinkId> previous_;
    std::map<PeerLinkId, std::int64_t> strangers_;  // since when
};

}  // namespace molink
