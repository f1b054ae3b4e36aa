#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include <molink/transport.h>

namespace molink {

/// What both tracks of a link share.
struct SharedTrackState {
    std::size_t in_flight_bytes = 0;
    std::int64_t idle_us = -1;  ///< when nothing waited to be sent, for the last time
};

/// The sending half of one track: frames keep their number until the peer has acknowledged them,
/// and go out again from there after a reset. Thread: the node's loop.
class SendTrack {
public:
    /// `link` must outlive it.
    explicit SendTrack(SharedTrackState& link) : link_(link) {}

    /// Keeps a frame (number next_sequence()) to be handed to the transport.
    void push(Frame frame);
    /// Number of the newest frame the peer has acknowledged.
    std::uint64_t acked() const { return acked_; }
    std::uint64_t next_sequence() const { return acked_ + frames_.size() + 1; }

    /// What was handed to the transport.
    struct Handed {
        std::size_t bytes = 0;  ///< 0: it took nothing
        bool again = false;     ///< for a second time
    };
    /// Hands the next frame to the transport, stamped with the time.
    Handed send(Transport& transport, ConnectionId connection, std::int64_t now_us);
    /// True when frames wait to be handed to the transport.
    bool blocked() const { return sent_ < frames_.size(); }

    /// What an acknowledgement took off the track.
    struct Acked {
        std::size_t bytes = 0;      ///< newly acknowledged, with headers
        std::int64_t idle_us = -1;  ///< SharedTrackState::idle_us when the newest of them went out
        bool resent = false;        ///< it went out twice: says nothing about the round trip
    };
    /// The peer has everything up to `sequence`. Nothing when that is not new; false in `valid`
    /// when it was never sent.
    Acked acknowledge(std::uint64_t sequence, bool& valid);
    /// Everything unacknowledged goes out again.
    void rewind(std::int64_t now_us) {
        sent_ = 0;
        rewound_us_ = now_us;
    }
    /// The peer misses something before a frame sent at `stamp_us`. Frames from before the last
    /// rewind are answered by it already.
    void rewind_for(std::int64_t stamp_us, std::int64_t now_us) {
        if (stamp_us >= rewound_us_) rewind(now_us);
    }

    std::size_t in_flight_bytes() const { return in_flight_bytes_; }
    std::int64_t oldest_sent_us() const { return frames_.empty() ? 0 : frames_.front().sent_us; }
    bool idle() const { return frames_.empty(); }

private:
    struct Kept {
        Frame frame;
        std::size_t bytes = 0;
        std::int64_t sent_us = 0;  // last time; 0: never
        bool resent = false;
        std::int64_t idle_us = -1;
    };
    std::deque<Kept> frames_;  // unacknowledged, in order
    std::size_t sent_ = 0;     // of them, handed to the transport since the last rewind
    std::uint64_t acked_ = 0;
    std::int64_t rewound_us_ = 0;
    std::size_t in_flight_bytes_ = 0;
    SharedTrackState& link_;
};

}  // namespace molink
