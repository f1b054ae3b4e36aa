// See probe_trains.h. Trains go at join, one soon after the other, and then at most every ten
// seconds while the link is idle; 64 KiB each, so that even 5 Mbit/s are held up for no more than a
// tenth of a second.
#include "channel/probe_trains.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {
namespace {

constexpr std::int64_t kAtJoinUs = 200'000;

/// Links above this need no pace: what piles up in buffers is gone within a millisecond.
constexpr double kFastest = 60e6;
constexpr double kAgree = 1.3;

}  // namespace

void ProbeTrains::begin(std::uint64_t first, std::size_t frame_bytes, std::int64_t now_us) {
    first_ = first;
    last_ = first + kFrames - 1;
    frame_bytes_ = frame_bytes;
    from_ = 0;
    next_us_ = now_us + (count_ + 1 < rates_.size() ? kAtJoinUs : limits::kProbeIntervalUs);
}

std::optional<double> ProbeTrains::on_ack(std::uint64_t sequence, std::int64_t arrived_us,
                                          bool resent) {
    if (last_ == 0 || sequence < first_) return std::nullopt;
    if (resent) {
        last_ = 0;
        return std::nullopt;
    }
    if (from_ == 0) {
        from_ = sequence;
        from_us_ = arrived_us;
    }
    if (sequence < last_) return std::nullopt;
    const auto bytes =
        static_cast<double>(last_ - std::min(from_, last_)) * static_cast<double>(frame_bytes_);
    const auto us = static_cast<double>(std::max<std::int64_t>(arrived_us - from_us_, 1));
    rates_[count_++ % rates_.size()] = bytes * 1e6 / us;
    last_ = 0;
    if (count_ < rates_.size()) return std::nullopt;
    std::array<double, 3> sorted = rates_;
    std::sort(sorted.begin(), sorted.end());
    if (sorted[0] <= 0 || sorted[2] > kAgree * sorted[0] || sorted[1] > kFastest) {
        return std::nullopt;
    }
    return sorted[1];
}

}  // namespace molink
