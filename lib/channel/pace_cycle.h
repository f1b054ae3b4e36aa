#pragma once

#include <cstdint>

namespace molink {

/// What had arrived at the peer when a frame did.
struct Arrival {
    std::int64_t sent_us = 0;     ///< the frame, on this clock
    std::int64_t arrived_us = 0;  ///< on the peer's clock
    std::int64_t bytes = 0;       ///< on the link by then
};

/// The cycle of a sender's pace, after BBR: a faster stretch, which finds bandwidth that became
/// free, then a slower one of the same length, then the rate itself. Stretches become longer and
/// faster from cycle to cycle until a queue is seen. Thread: the node's loop.
class PaceCycle {
public:
    /// `queue_us`: what waits now. `rate`: bytes per us, by now.
    void begin(const Arrival& at, std::int64_t now_us, std::int64_t queue_us, double rate,
               std::int64_t round_us, std::int64_t hol_bound_us);
    /// The next cycle begins as the first one did.
    void note_limit() { queue_seen_ = true; }
    void note_queue(std::int64_t queue_us);
    /// Arrivals have a gap, so that the cycle tells no rate.
    void interrupt() { whole_ = false; }

    /// As long as more is found, cycles follow each other without a pause.
    bool over(std::int64_t now_us, double rate, std::int64_t round_us) const;
    /// The pace as a multiple of the rate.
    double pace(std::int64_t now_us) const;
    bool whole() const { return whole_; }
    const Arrival& from() const { return from_; }
    /// The smallest queue since it began; INT64_MAX before the first.
    std::int64_t least_queue_us() const { return least_queue_us_; }

private:
    std::int64_t begin_us_ = 0;
    std::int64_t stretch_us_ = 0;  // of the faster part
    double gain_ = 0;              // by which that is faster
    bool queue_seen_ = false;
    std::int64_t least_queue_us_ = INT64_MAX;
    Arrival from_;
    bool whole_ = false;
    double rate_ = 0;  // at the begin
};

}  // namespace molink
