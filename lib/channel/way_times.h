#pragma once

#include <array>
#include <cstdint>

#include "channel/delay_filter.h"
#include "channel/frame_header.h"

namespace molink {

/// Times that frames of one peer link are under way: round trips, the time of acknowledgements on
/// the return path, and how far the delay of frames is above the shortest one. Only time
/// differences on the same clock are used. Thread: the node's loop.
class WayTimes {
public:
    explicit WayTimes(std::int64_t hol_bound_us) : hol_bound_us_(hol_bound_us) {}

    struct RoundTrip {
        Track track = Track::urgent;
        std::int64_t round_trip_us = 0;  ///< without the peer's hold time
        std::int64_t sent_us = 0;        ///< on this clock
        std::int64_t arrived_us = 0;     ///< on the peer's clock
    };
    void note(const RoundTrip& trip, std::int64_t now_us);
    /// The path has become longer by this time; there was no queue.
    void raise(std::int64_t step_us);

    std::int64_t smoothed_us() const { return smoothed_us_; }
    /// The shortest round trip; 0 before the first one.
    std::int64_t shortest_us() const { return measured_ ? least_.value() : 0; }
    /// The slowest round trip without the queue on the path to the peer. It falls slowly.
    std::int64_t slowest_back_us() const { return slowest_back_us_; }
    /// The time that frames of this track wait in a queue.
    std::int64_t queue_us(Track track) const { return filter(track).queue_us(); }
    /// Swings of the delay beyond half the bound, which pacing itself causes.
    std::int64_t jitter_us() const;

private:
    const DelayFilter& filter(Track track) const {
        return delays_[static_cast<std::size_t>(track)];
    }

    std::int64_t hol_bound_us_;
    Least least_;
    bool measured_ = false;
    std::int64_t smoothed_us_ = 0;
    std::int64_t slowest_back_us_ = 0;
    // One per track. Frames of a connection do not overtake each other, so under jitter a track
    // with rare frames has shorter delays than one with dense frames.
    std::array<DelayFilter, kTrackCount> delays_;
    std::int64_t swing_us_ = 0;
};

}  // namespace molink
