#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include <molink/transport.h>

namespace molink {

/// What a link has delivered, both tracks together: they share its rate.
struct LinkDelivery {
    std::uint64_t bytes = 0;  ///< acknowledged
    std::int64_t at_us =
        0;  ///< when that was last added to; of an idle link 0, then its first frame
    std::size_t in_flight_bytes = 0;
    /// Bytes delivered until which frames say nothing about how fast the link is, because the
    /// sender had nothing more to send; 0: they do.
    std::uint64_t app_limited_until = 0;

    /// Nothing more waits to be sent.
    void note_idle() { app_limited_until = std::max<std::uint64_t>(bytes + in_flight_bytes, 1); }
};

/// The sending half of one track: frames keep their number until the peer has acknowledged them,
/// and go out again from there after a reset. Thread: the node's loop.
class SendTrack {
public:
    /// `link` must outlive it.
    explicit SendTrack(LinkDelivery& link) : link_(link) {}

    /// Keeps a frame (number next_sequence()) to be handed to the transport.
    void push(Frame frame);
    /// Number of the newest frame the peer has acknowledged.
    std::uint64_t acked() const { return acked_; }
    std::uint64_t next_sequence() const { return acked_ + frames_.size() + 1; }

    /// Hands frames to the transport while it takes them. Returns bytes sent a second time.
    std::size_t send(Transport& transport, ConnectionId connection, std::int64_t now_us);
    /// True when frames wait for the transport to take them.
    bool blocked() const { return sent_ < frames_.size(); }

    /// What an acknowledgement took off the track.
    struct Acked {
        std::size_t bytes = 0;               ///< newly acknowledged, with headers
        std::int64_t sent_us = 0;            ///< when the newest of them first went out
        std::uint64_t delivered_before = 0;  ///< bytes acknowledged on the link at that time
        std::int64_t delivered_at_us = 0;    ///< when that was last added to
        bool resent = false;                 ///< went out twice: says nothing about the round trip
        bool app_limited = false;            ///< sent within a round trip of idleness
    };
    /// The peer has everything up to `sequence`. Nothing when that is not new; false in `valid`
    /// when it was never sent.
    Acked acknowledge(std::uint64_t sequence, bool& valid);
    /// Everything unacknowledged goes out again.
    void rewind() { sent_ = 0; }

    std::size_t in_flight_bytes() const { return in_flight_bytes_; }
    std::int64_t oldest_sent_us() const { return frames_.empty() ? 0 : frames_.front().sent_us; }
    bool idle() const { return frames_.empty(); }

private:
    struct Kept {
        Frame frame;
        std::size_t bytes = 0;
        std::int64_t sent_us = 0;  // last time; 0: never
        bool resent = false;
        std::uint64_t delivered_before = 0;
        std::int64_t delivered_at_us = 0;
        bool app_limited = false;
    };
    std::deque<Kept> frames_;  // unacknowledged, in order
    std::size_t sent_ = 0;     // of them, handed to the transport since the last rewind
    std::uint64_t acked_ = 0;
    std::size_t in_flight_bytes_ = 0;
    LinkDelivery& link_;
};

}  // namespace molink
