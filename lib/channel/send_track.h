#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include <molink/transport.h>

namespace molink {

/// State that both tracks of a peer link share.
struct SharedTrackState {
    std::size_t in_flight_bytes = 0;
    std::int64_t idle_us = -1;  ///< last time when nothing waited to be sent
};

/// The sending half of one track. It keeps numbered frames until the peer has acknowledged them,
/// and sends unacknowledged ones again after a reset. Thread: the node's loop.
class SendTrack {
public:
    /// `link` must outlive the track.
    explicit SendTrack(SharedTrackState& link) : link_(link) {}

    /// Adds a frame with the number next_sequence(), which send() hands to the transport.
    void push(Frame frame);
    /// Number of the newest frame that the peer has acknowledged.
    std::uint64_t acked() const { return acked_; }
    std::uint64_t next_sequence() const { return acked_ + frames_.size() + 1; }

    /// A frame that was handed to the transport.
    struct Handed {
        std::size_t bytes = 0;  ///< 0: the transport took nothing
        bool again = false;     ///< the frame was sent before
    };
    /// Stamps the next frame with the time and hands it to the transport.
    Handed send(Transport& transport, ConnectionId connection, std::int64_t now_us);
    /// Returns whether frames wait for the transport.
    bool blocked() const { return sent_ < frames_.size(); }

    /// Frames that an acknowledgement removed.
    struct Acked {
        std::size_t bytes = 0;      ///< newly acknowledged bytes, with headers
        std::int64_t idle_us = -1;  ///< SharedTrackState::idle_us when the newest one was sent
        bool resent = false;        ///< the newest one was sent twice, so it shows no round trip
    };
    /// The peer has all frames up to `sequence`. The result is empty if that is not new. `valid`
    /// becomes false if that frame was never sent.
    Acked acknowledge(std::uint64_t sequence, bool& valid);
    /// Sends all unacknowledged frames again.
    void rewind(std::int64_t now_us) {
        sent_ = 0;
        rewound_us_ = now_us;
    }
    /// The peer misses frames before one that was sent at `stamp_us`. If that was before the last
    /// rewind, the missing frames were already sent again.
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
        std::int64_t sent_us = 0;  // time of the last send; 0: never
        bool resent = false;
        std::int64_t idle_us = -1;
    };
    std::deque<Kept> frames_;  // unacknowledged, in order
    std::size_t sent_ = 0;     // handed to the transport since the last rewind
    std::uint64_t acked_ = 0;
    std::int64_t rewound_us_ = 0;
    std::size_t in_flight_bytes_ = 0;
    SharedTrackState& link_;
};

}  // namespace molink
