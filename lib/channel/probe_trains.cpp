// See probe_trains.h. Trains go at join, one soon after the other until three agree or six have
// gone, and then at most every ten seconds while the link is idle; 64 KiB each, so that even 5
// Mbit/s are held up for no more than a tenth of a second.
#include "channel/probe_trains.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {
namespace {

constexpr std::int64_t kAtJoinUs = 200'000;
/// Between trains of a link that is there to be measured, or as long as the last train took: what
/// else its path carries gets half of it.
constexpr std::int64_t kCloseUs = 5'000;
/// Trains after which three need not agree any more: jitter will not let them.
constexpr std::size_t kManyTrains = 6;

/// Links above this need no pace: what piles up in buffers is gone within a millisecond.
constexpr double kFastest = 60e6;
constexpr double kAgree = 1.3;

}  // namespace

void ProbeTrains::begin(std::uint64_t first, std::size_t frame_bytes, std::int64_t now_us) {
    first_ = first;
    last_ = first + kFrames - 1;
    frame_bytes_ = frame_bytes;
    from_ = 0;
    next_us_ = now_us + kAtJoinUs;
}

std::optional<double> ProbeTrains::on_ack(std::uint64_t sequence, std::int64_t arrived_us,
                                          bool resent, std::int64_t now_us) {
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
    bytes_ += bytes;
    us_ += us;
    const Verdict verdict = judge();
    const bool done = verdict.agreed || verdict.fast || count_ >= kManyTrains;
    if (close_) {
        settled_ = done;
        const auto took = std::clamp(static_cast<std::int64_t>(us), kCloseUs, kAtJoinUs);
        next_us_ = settled_ ? INT64_MAX : now_us + took;
    }
    if (!close_ && done) next_us_ = std::max(next_us_, now_us + limits::kProbeIntervalUs);
    if (!verdict.agreed) return std::nullopt;
    return verdict.rate;
}

ProbeTrains::Verdict ProbeTrains::judge() const {
    Verdict verdict;
    if (count_ < rates_.size()) return verdict;
    std::array<double, 3> sorted = rates_;
    std::sort(sorted.begin(), sorted.end());
    verdict.rate = sorted[1];
    verdict.agreed = sorted[0] > 0 && sorted[2] <= kAgree * sorted[0] && sorted[1] <= kFastest;
    const auto fast = [](double rate) { return rate <= 0 || rate > kFastest; };
    verdict.fast = std::count_if(sorted.begin(), sorted.end(), fast) > 1;
    return verdict;
}

void ProbeTrains::restart(std::int64_t now_us) {
    *this = ProbeTrains();
    close_ = true;
    next_us_ = now_us;
}

void ProbeTrains::stop() {
    last_ = 0;
    next_us_ = INT64_MAX;
}

std::optional<double> ProbeTrains::rate() const {
    if (count_ == 0) return std::nullopt;
    const Verdict verdict = judge();
    if (verdict.agreed) return verdict.rate;
    const double rate = bytes_ * 1e6 / us_;
    return verdict.fast || bytes_ <= 0 || rate > kFastest ? 0 : rate;
}

}  // namespace molink
