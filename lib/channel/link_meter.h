#pragma once

#include <cstdint>
#include <deque>

#include <molink/link.h>

#include "channel/frame_header.h"
#include "channel/pace_cycle.h"
#include "channel/way_times.h"

namespace molink {

/// A counter of the peer of which the low 32 bits arrive.
class PeerCounter {
public:
    /// The whole of it; values may come a little out of order.
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

/// Measures one direction of a link from acknowledgements, and says how fast and how much may be
/// sent. After BBR (Cardwell et al., 2016) in outline: the rate is the largest delivered, the
/// window two bandwidth-delay products. Only a queue lowers the rate, at once and to what is
/// delivered then: without one a sample tells what was sent, not what could have been. Rate and
/// queue are told by when frames arrived on the peer's clock and how many bytes had arrived then,
/// so that what happens to acknowledgements on their way matters to neither; only differences of
/// the two clocks' times are used. A rate from probe trains serves until traffic has been measured;
/// with neither the link is not paced and the window doubles until a queue is seen, or frames
/// arrive further apart than they were sent. Thread: the node's loop.
class LinkMeter {
public:
    explicit LinkMeter(std::int64_t hol_bound_us)
        : hol_bound_us_(hol_bound_us), times_(hol_bound_us) {}

    struct Sample {
        std::int64_t now_us = 0;
        Track track = Track::urgent;
        std::int64_t round_trip_us = 0;  ///< without the peer's hold time
        std::size_t acked_bytes = 0;
        std::size_t in_flight_bytes = 0;  ///< still, on both tracks
        std::int64_t sent_us = 0;         ///< the newest frame of it, on this clock
        std::int64_t arrived_us = 0;      ///< likewise, on the peer's
        std::int64_t received_bytes = 0;  ///< on the link by then
        std::int64_t idle_us = -1;        ///< when, before sent_us, nothing waited to be sent
        bool held = false;                ///< the window was full and more waited
    };
    void add(const Sample& sample);
    /// A rate from probe trains, bytes/s.
    void set_probed(double bytes_per_s, std::int64_t now_us);
    /// Traffic was measured within the last `within_us`.
    bool measured(std::int64_t now_us, std::int64_t within_us) const {
        return measured_us_ > 0 && now_us - measured_us_ <= within_us;
    }
    /// After a reset: what was measured stays, the window begins anew.
    void restart();

    std::size_t window_bytes() const;
    /// When the next frame may go, after one of `bytes` went at now_us.
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
    double rate_ = 0;         // bytes per us, delivered
    double newest_rate_ = 0;  // of a backlog
    double rate_before_ = 0;  // the drains under way
    bool paced_ = false;
    std::int64_t paced_since_us_ = 0;
    bool probed_ = false;           // rate_ is the probes', nothing better is known
    std::int64_t measured_us_ = 0;  // last sample of a backlog
    // Queue
    std::int64_t drain_until_us_ = 0;
    std::int64_t blind_until_us_ = 0;  // acknowledgements tell of the time before the drain's end
    std::int64_t drained_queue_us_ = 0;
    int in_vain_ = 0;  // drains in a row that changed nothing
    // What may be sent
    std::size_t window_bytes_ = 0;
    std::int64_t free_us_ = 0;
};

}  // namespace molink
