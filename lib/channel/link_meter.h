#pragma once

#include <array>
#include <cstdint>
#include <deque>

#include <molink/link.h>

namespace molink {

/// Measures one direction of a link from acknowledgements, and says how fast and how much may be
/// sent. After BBR (Cardwell et al., 2016) in outline: the delivery rate is a windowed maximum,
/// samples of a sender that had nothing to send never lower it, the window is two bandwidth-delay
/// products, and the pace falls at once when even the fastest of the last round trips exceeds the
/// minimum by the head-of-line bound. A rate from probe trains serves until traffic has been
/// measured; with neither the link is not paced and the window doubles until a queue is seen.
/// Thread: the node's loop.
class LinkMeter {
public:
    explicit LinkMeter(std::int64_t hol_bound_us) : hol_bound_us_(hol_bound_us) {}

    struct Sample {
        std::int64_t now_us = 0;
        std::int64_t round_trip_us = 0;  ///< without the peer's hold time
        std::size_t acked_bytes = 0;
        std::uint64_t delivered_bytes = 0;  ///< acknowledged between sending and acknowledgement
        /// From the acknowledgement before the frame was sent to this one: counted from the sending
        /// alone, the rate would come out too high by the distance of two acknowledgements.
        std::int64_t interval_us = 0;
        bool app_limited = false;  ///< the sender had nothing more to send at some time within it
    };
    void add(const Sample& sample);
    /// A rate from probe trains, bytes/s.
    void set_probed(double bytes_per_s);
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
    std::int64_t smoothed_rtt_us() const { return smoothed_rtt_us_; }
    std::int64_t min_rtt_us() const { return min_rtt_us_; }

private:
    double pace() const;
    void begin_cycle(std::int64_t now_us);
    void note_round_trip(std::int64_t rtt_us);
    void update_rate(const Sample& sample);

    std::int64_t hol_bound_us_;
    std::int64_t min_rtt_us_ = 0;
    std::int64_t smoothed_rtt_us_ = 0;
    std::array<std::int64_t, 8> recent_rtts_us_{};  // 0: none
    std::size_t next_recent_ = 0;
    double rate_ = 0;  // bytes per us, delivered
    bool paced_ = false;
    bool draining_ = false;
    bool probed_ = false;                // rate_ is the probes', nothing better is known
    std::int64_t backlogged_since_ = 0;  // first sample of the backlog that will replace it
    std::int64_t measured_us_ = 0;       // last sample of a backlog
    std::int64_t cycle_begin_us_ = 0;
    std::int64_t stretch_us_ = 0;  // of the cycle's faster part
    double gain_ = 0;              // by which it is faster
    bool queue_seen_ = false;      // in this cycle
    std::int64_t now_us_ = 0;
    struct RateSample {
        std::int64_t at_us;
        double rate;
    };
    std::deque<RateSample> samples_;  // of the last ten round trips, falling
    std::size_t window_bytes_ = 0;
    std::int64_t free_us_ = 0;
};

}  // namespace molink
