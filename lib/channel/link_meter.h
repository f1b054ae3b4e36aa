#pragma once

#include <cstdint>
#include <deque>

#include <molink/link.h>

#include "channel/frame_header.h"
#include "channel/pace_cycle.h"
#include "channel/way_times.h"

namespace molink {

/// A counter of the peer whose low 32 bits are transmitted.
class PeerCounter {
public:
    /// Returns the full value. Values may arrive slightly out of order.
    std::int64_t follow(std::uint32_t low) {
        const auto step =
            static_cast<std::int32_t>(low - static_cast<std::uint32_t>(newest_ & 0xffffffff));
        const std::int64_t value = newest_ + step;
        if (step > 0) newest_ = value;
        return value;
    }

private:
    std::int64_t newest_ = 0;
};

/// Measures a link from acknowledgements, and determines how fast and how much may be sent. It
/// follows BBR (Cardwell et al. 2016) in outline: the rate is the largest delivered one, and the
/// window has two bandwidth-delay products.
/// Only a queue lowers the rate, at once and to the rate that is delivered then. Without a queue, a
/// sample shows what was sent, not what the link could deliver. Rate and queue follow from the
/// arrival times of frames on the peer's clock and the bytes that had arrived then, so delays of
/// acknowledgements do not matter. Only time differences on the same clock are used.
/// A rate from probe trains is used until traffic was measured. Without either, the link is not
/// paced, and the window doubles until there is a queue, or until frames arrive further apart than
/// they were sent. Thread: the node's loop.
class LinkMeter {
public:
    explicit LinkMeter(std::int64_t hol_bound_us)
        : hol_bound_us_(hol_bound_us), times_(hol_bound_us) {}

    struct Sample {
        std::int64_t now_us = 0;
        Track track = Track::urgent;
        std::int64_t round_trip_us = 0;  ///< without the peer's hold time
        std::size_t acked_bytes = 0;
        std::size_t in_flight_bytes = 0;  ///< after this acknowledgement, on both tracks
        std::int64_t sent_us = 0;         ///< send time of the newest acknowledged frame
        std::int64_t arrived_us = 0;      ///< its arrival, on the peer's clock
        std::int64_t received_bytes = 0;  ///< bytes on the peer link by then
        std::int64_t idle_us = -1;  ///< last time before sent_us when nothing waited to be sent
        bool held = false;          ///< the window was full and messages waited
    };
    void add(const Sample& sample);
    /// Sets the rate from probe trains, in bytes/s.
    void set_probed(double bytes_per_s, std::int64_t now_us);
    /// Returns whether traffic was measured within the last `within_us`.
    bool measured(std::int64_t now_us, std::int64_t within_us) const {
        return measured_us_ > 0 && now_us - measured_us_ <= within_us;
    }
    /// Handles a reset of a connection: keeps the measured rate and restarts the window.
    void restart();

    std::size_t window_bytes() const;
    /// Returns when the next frame may be sent, after one of `bytes` was sent at now_us.
    std::int64_t next_send_us(std::int64_t now_us, std::size_t bytes);
    /// Earliest time for the next frame.
    std::int64_t free_us() const { return free_us_; }
    LinkModel model() const;
    std::int64_t smoothed_rtt_us() const { return times_.smoothed_us(); }
    std::int64_t min_rtt_us() const { return times_.shortest_us(); }

private:
    double pace(std::int64_t now_us) const;
    std::int64_t round_us() const;
    std::int64_t span_us() const;
    void note(const Sample& sample);
    void shorten_wait(double old_rate, std::int64_t now_us);
    void begin_pace(std::int64_t now_us);
    void begin_cycle(const Sample& sample, std::int64_t queue_us);
    void correct_rate(const Sample& sample);
    void drain(const Sample& sample, std::int64_t queue_us);
    void note_arrival(const Sample& sample, std::int64_t queue_us);
    bool spread_out() const;
    void judge_queue(const Sample& sample, std::int64_t queue_us);
    std::int64_t queued_us(const Sample& sample, std::int64_t queue_us) const;

    std::int64_t hol_bound_us_;
    WayTimes times_;
    PaceCycle cycle_;
    // Rate
    std::deque<Arrival> points_;
    double rate_ = 0;         // delivered bytes per us
    double newest_rate_ = 0;  // newest rate of a backlog
    double rate_before_ = 0;  // rate before the current drains
    bool paced_ = false;
    std::int64_t paced_since_us_ = 0;
    bool probed_ = false;           // rate_ comes from probe trains
    std::int64_t measured_us_ = 0;  // time of the last sample of a backlog
    // Queue
    std::int64_t drain_until_us_ = 0;
    std::int64_t blind_until_us_ = 0;  // acknowledgements show the time before the drain's end
    std::int64_t drained_queue_us_ = 0;
    int in_vain_ = 0;  // drains in a row without effect
    // What may be sent
    std::size_t window_bytes_ = 0;
    std::int64_t free_us_ = 0;
};

}  // namespace molink
