#pragma once

#include <array>
#include <cstdint>

#include "channel/delay_filter.h"
#include "channel/frame_header.h"

namespace molink {

/// How long frames of one peer link are under way: round trips, the way back, and how far the delay
/// there rises above the shortest. Only differences of times on one clock are used. Thread: the
/// node's loop.
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
    /// Ways have become longer by this much: it was no queue.
    void raise(std::int64_t step_us);

    std::int64_t smoothed_us() const { return smoothed_us_; }
    /// The shortest round trip; 0 before the first.
    std::int64_t shortest_us() const { return measured_ ? least_.value() : 0; }
    /// The slowest way back without a queue on the way there, falling slowly.
    std::int64_t slowest_back_us() const { return slowest_back_us_; }
    /// What frames of this track wait on their way.
    std::int64_t queue_us(Track track) const { return filter(track).queue_us(); }
    /// Swings of the delay beyond those that pacing makes itself, which are half the bound.
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
    // By track: jitter makes what is sent now and then arrive sooner than what is sent densely,
    // because frames of a connection do not overtake each other.
    std::array<DelayFilter, kTrackCount> delays_;
    std::int64_t swing_us_ = 0;
};

}  // namespace molink
