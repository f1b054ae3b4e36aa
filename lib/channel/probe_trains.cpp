// Trains are sent after a peer link is up, in quick succession until three agree or six were sent,
// and then at most every ten seconds while the link is idle. A train has 64 KiB, so that it
// occupies even a link of 5 Mbit/s for only a tenth of a second. A peer that is short of CPU sees
// frames together that arrived one by one. Therefore close arrivals alone do not show a fast link;
// the round trip of the train must also be short, since it includes the time on the link.
#include "channel/probe_trains.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {
namespace {

constexpr std::int64_t kAtJoinUs = 200'000;
/// Minimum pause between trains on a link that exists only to be measured. The pause is at least as
/// long as the last train took, so that other traffic on the path gets half of it.
constexpr std::int64_t kCloseUs = 5'000;
/// After this number of trains, three need not agree any more, because jitter prevents it.
constexpr std::size_t kManyTrains = 6;

/// Faster links need no pace. Their queues are gone within a millisecond.
constexpr double kUnpacedRate = 60e6;
constexpr double kAgree = 1.3;
/// A train on a fast link may take this time in addition to its bytes at kUnpacedRate: two threads
/// must wake, and poll() has a granularity of a millisecond. No link of up to 250 Mbit/s counts as
/// fast.
constexpr std::int64_t kWokenUs = 1'000;

/// Returns whether a rate needs no pace. 0 means that all frames arrived together.
bool is_fast(double rate) {
    return rate <= 0 || rate > kUnpacedRate;
}

}  // namespace

void ProbeTrains::begin(std::uint64_t first, std::size_t frame_bytes, std::int64_t now_us) {
    first_ = first;
    last_ = first + kFrames - 1;
    frame_bytes_ = frame_bytes;
    from_ = 0;
    sent_us_ = now_us;
    next_us_ = now_us + kAtJoinUs;
}

std::optional<double> ProbeTrains::on_ack(const Ack& ack, std::int64_t now_us) {
    if (last_ == 0 || ack.sequence < first_) return std::nullopt;
    if (ack.resent) {
        last_ = 0;
        return std::nullopt;
    }
    if (from_ == 0) {
        from_ = ack.sequence;
        from_us_ = ack.arrived_us;
    }
    if (ack.sequence < last_) return std::nullopt;
    const std::int64_t us = std::max<std::int64_t>(ack.arrived_us - from_us_, 1);
    note_train(ack, us, now_us);
    last_ = 0;
    const Verdict verdict = judge();
    const bool done = verdict.agreed || verdict.fast || count_ >= kManyTrains;
    if (close_) {
        settled_ = done;
        next_us_ = settled_ ? INT64_MAX : now_us + std::clamp(us, kCloseUs, kAtJoinUs);
    }
    if (!close_ && done) next_us_ = std::max(next_us_, now_us + limits::kProbeIntervalUs);
    if (!verdict.agreed) return std::nullopt;
    return verdict.rate;
}

/// Handles a complete train. `us` is the time between its arrivals. The train does not count if its
/// arrivals show a fast link but its round trip does not.
void ProbeTrains::note_train(const Ack& ack, std::int64_t us, std::int64_t now_us) {
    ++count_;
    const auto round_trip_us = std::max<std::int64_t>(now_us - sent_us_ - ack.hold_us, 1);
    const std::int64_t fast_us =
        static_cast<std::int64_t>(train_bytes() * 1e6 / kUnpacedRate) + kWokenUs;
    least_us_ = std::min(least_us_, round_trip_us);
    const auto bytes =
        static_cast<double>(last_ - std::min(from_, last_)) * static_cast<double>(frame_bytes_);
    const double rate = bytes * 1e6 / static_cast<double>(us);
    if (is_fast(rate) && round_trip_us - ack.least_rtt_us > fast_us) return;
    rates_[known_++ % rates_.size()] = rate;
    bytes_ += bytes;
    us_ += static_cast<double>(us);
}

ProbeTrains::Verdict ProbeTrains::judge() const {
    Verdict verdict;
    if (known_ < rates_.size()) return verdict;
    std::array<double, 3> sorted = rates_;
    std::sort(sorted.begin(), sorted.end());
    verdict.rate = sorted[1];
    verdict.agreed = sorted[0] > 0 && sorted[2] <= kAgree * sorted[0] && sorted[1] <= kUnpacedRate;
    verdict.fast = std::count_if(sorted.begin(), sorted.end(), is_fast) > 1;
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

double ProbeTrains::train_bytes() const {
    return static_cast<double>(kFrames) * static_cast<double>(frame_bytes_);
}

std::optional<double> ProbeTrains::rate(std::int64_t least_rtt_us) const {
    if (count_ == 0) return std::nullopt;
    const Verdict verdict = judge();
    if (verdict.agreed) return verdict.rate;
    if (verdict.fast) return 0;
    const auto took = static_cast<double>(std::max<std::int64_t>(least_us_ - least_rtt_us, 1));
    const double at_least = train_bytes() * 1e6 / took;
    const double told = us_ > 0 ? bytes_ * 1e6 / us_ : 0;
    const double rate = std::max(told, at_least);
    return rate > kUnpacedRate ? 0 : rate;
}

}  // namespace molink
