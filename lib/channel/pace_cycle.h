#pragma once

#include <cstdint>

namespace molink {

/// The bytes that had arrived at the peer when a frame arrived.
struct Arrival {
    std::int64_t sent_us = 0;     ///< when the frame was sent, on this clock
    std::int64_t arrived_us = 0;  ///< when it arrived, on the peer's clock
    std::int64_t bytes = 0;       ///< data bytes on the peer link by then
};

/// The cycle of a sender's pace, after BBR. It has a faster stretch, which finds bandwidth that has
/// become free, then a slower one of the same length, and then the measured rate. Stretches become
/// longer and faster from cycle to cycle until there is a queue. Thread: the node's loop.
class PaceCycle {
public:
    /// Begins a cycle. `queue_us`: the current queue. `rate`: the current rate in bytes per us.
    void begin(const Arrival& at, std::int64_t now_us, std::int64_t queue_us, double rate,
               std::int64_t round_us, std::int64_t hol_bound_us);
    /// Makes the stretches of the next cycle as short as at first.
    void note_limit() { queue_seen_ = true; }
    void note_queue(std::int64_t queue_us);
    /// Arrivals have a gap, so this cycle gives no rate.
    void interrupt() { whole_ = false; }

    /// Returns whether the cycle has ended. Cycles are shorter while the rate grows.
    bool over(std::int64_t now_us, double rate, std::int64_t round_us) const;
    /// Returns the pace as a multiple of the rate.
    double pace(std::int64_t now_us) const;
    bool whole() const { return whole_; }
    const Arrival& from() const { return from_; }
    /// The smallest queue of this cycle; INT64_MAX before the first one.
    std::int64_t least_queue_us() const { return least_queue_us_; }

private:
    std::int64_t begin_us_ = 0;
    std::int64_t stretch_us_ = 0;  // length of the faster stretch
    double gain_ = 0;              // its additional pace
    bool queue_seen_ = false;
    std::int64_t least_queue_us_ = INT64_MAX;
    Arrival from_;
    bool whole_ = false;
    double rate_ = 0;  // at the begin of the cycle
};

}  // namespace molink
