// The pace follows cycles (PaceCycle) that find bandwidth that has become free. A queue beyond the
// head-of-line bound shows the link's rate exactly and is drained at once; the length of the drain
// follows from that rate. A queue that no drain changes is a longer path (WayTimes).
#include "channel/link_meter.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {
namespace {

constexpr double kDrainPace = 0.5;
/// A timer may be late by this time without lowering the rate. poll() has a granularity of a
/// millisecond, and a frame takes a similar time.
constexpr std::int64_t kCatchUpUs = 3'000;
/// Length of the span of arrivals that gives a rate. Real clocks resolve arrivals only to about a
/// millisecond.
constexpr std::int64_t kSpanUs = 20'000;
constexpr std::int64_t kLongestSpanUs = 300'000;
constexpr std::int64_t kSpanOfJitter = 10;
/// Shorter span for the first rate.
constexpr std::int64_t kFirstSpanUs = 4'000;
/// A burst that arrives over at least this time shows a slow link.
constexpr std::int64_t kSpreadUs = 10'000;
/// If arrivals are further apart than this, the link was idle or stalled, not slow.
constexpr std::int64_t kGapUs = 200'000;
/// Bounds of a rate in bytes per us. A peer whose counters give rates beyond them is faulty or
/// hostile. The bounds keep rates and times within the range of their types.
constexpr double kSlowestRate = 1e-6;
constexpr double kFastestRate = 1e6;

double rate_of(std::int64_t bytes, std::int64_t span_us) {
    return std::clamp(static_cast<double>(bytes) / static_cast<double>(span_us), kSlowestRate,
                      kFastestRate);
}

}  // namespace

void LinkMeter::restart() {
    window_bytes_ = limits::kFirstWindowBytes;
    free_us_ = 0;
    points_.clear();
    newest_rate_ = 0;
    cycle_.interrupt();
}

void LinkMeter::set_probed(double bytes_per_s, std::int64_t now_us) {
    if (measured_us_ > 0 || bytes_per_s <= 0) return;
    const double old_rate = rate_;
    rate_ = bytes_per_s / 1e6;
    probed_ = paced_ = true;
    shorten_wait(old_rate, now_us);
}

/// Recomputes the wait of frames that were sent at the old rate. Otherwise a probe train that was
/// paced at a far too low rate would delay the link for seconds after the correction.
void LinkMeter::shorten_wait(double old_rate, std::int64_t now_us) {
    if (old_rate <= 0 || rate_ <= old_rate || free_us_ <= now_us) return;
    const auto wait = static_cast<double>(free_us_ - now_us);
    free_us_ = now_us + static_cast<std::int64_t>(wait * old_rate / rate_);
}

std::int64_t LinkMeter::round_us() const {
    return std::max(min_rtt_us(), kSpanUs);
}

/// Jitter bunches arrivals. A longer span reduces its effect.
std::int64_t LinkMeter::span_us() const {
    return std::clamp(kSpanOfJitter * times_.jitter_us(), kSpanUs, kLongestSpanUs);
}

void LinkMeter::add(const Sample& sample) {
    const double old_rate = rate_;
    note(sample);
    shorten_wait(old_rate, sample.now_us);
}

void LinkMeter::note(const Sample& sample) {
    times_.note({sample.track, sample.round_trip_us, sample.sent_us, sample.arrived_us},
                sample.now_us);
    const std::int64_t queue = times_.queue_us(sample.track);
    note_arrival(sample, queue);
    const bool limited = sample.sent_us - sample.idle_us < round_us();
    if (queue > hol_bound_us_ / 8 || limited) cycle_.note_limit();
    if (!paced_ && (!limited || sample.held)) {
        window_bytes_ =
            std::min(std::max(window_bytes_, limits::kFirstWindowBytes) + sample.acked_bytes,
                     limits::kMaxWindowBytes);
        if (queue > hol_bound_us_ && rate_ > 0) {
            begin_pace(sample.now_us);
            begin_cycle(sample, queue);
        }
    }
    if (paced_) judge_queue(sample, queue);
    cycle_.note_queue(queue);
    if (!cycle_.over(sample.now_us, rate_, round_us())) return;
    correct_rate(sample);
    begin_cycle(sample, queue);
}

/// Returns the time that the link needs for the bytes that wait in front of it.
std::int64_t LinkMeter::queued_us(const Sample& sample, std::int64_t queue_us) const {
    const auto under_way =
        static_cast<std::int64_t>(static_cast<double>(sample.in_flight_bytes) / rate_);
    // After a stall all frames are late, but the window permits no queue longer than a round trip.
    return std::max(std::min(queue_us, round_us()), under_way - times_.slowest_back_us());
}

void LinkMeter::judge_queue(const Sample& sample, std::int64_t queue_us) {
    if (sample.now_us < blind_until_us_) return;
    const std::int64_t bound = 3 * hol_bound_us_ / 4;
    if (queue_us < bound + times_.jitter_us()) {
        in_vain_ = 0;
        drained_queue_us_ = 0;
        return;
    }
    const bool again = drained_queue_us_ > 0;
    in_vain_ = again && 10 * queue_us > 9 * drained_queue_us_ ? in_vain_ + 1 : 0;
    if (!again) rate_before_ = rate_;
    if (in_vain_ >= 2) {
        times_.raise(queue_us);
        rate_ = rate_before_;
        in_vain_ = 0;
        drained_queue_us_ = 0;
        return;
    }
    drained_queue_us_ = queue_us;
    // Samples of frames from before pacing began may show less than the link's rate.
    if (newest_rate_ > 0 && sample.sent_us > paced_since_us_) rate_ = newest_rate_;
    drain(sample, queue_us);
}

void LinkMeter::drain(const Sample& sample, std::int64_t queue_us) {
    const auto waits = static_cast<double>(queued_us(sample, queue_us));
    drain_until_us_ = sample.now_us + static_cast<std::int64_t>(waits / (1 - kDrainPace));
    blind_until_us_ = drain_until_us_ + times_.slowest_back_us();
}

/// If a queue lasted for a whole cycle although the pace was below the rate, the rate is slightly
/// too high. The link was then never idle, so the arrivals of this time show its true rate.
void LinkMeter::correct_rate(const Sample& sample) {
    const Arrival& from = cycle_.from();
    const std::int64_t span = sample.arrived_us - from.arrived_us;
    if (!paced_ || !cycle_.whole() || span < 2 * round_us() ||
        cycle_.least_queue_us() <= hol_bound_us_ / 8 + times_.jitter_us() ||
        from.sent_us <= sample.idle_us || sample.now_us < blind_until_us_) {
        return;
    }
    rate_ = rate_of(sample.received_bytes - from.bytes, span);
    drain(sample, cycle_.least_queue_us());
}

void LinkMeter::begin_pace(std::int64_t now_us) {
    paced_ = true;
    paced_since_us_ = now_us;
    cycle_.note_limit();
}

void LinkMeter::begin_cycle(const Sample& sample, std::int64_t queue_us) {
    cycle_.begin({sample.sent_us, sample.arrived_us, sample.received_bytes}, sample.now_us,
                 queue_us, rate_, round_us(), hol_bound_us_);
}

/// Computes a rate from the arrivals since the newest frame that is at least a span older than this
/// one.
void LinkMeter::note_arrival(const Sample& sample, std::int64_t queue_us) {
    if (!points_.empty()) {
        const std::int64_t step = sample.arrived_us - points_.back().arrived_us;
        if (step <= 0) return;  // a later frame of the other track was already counted
        if (step > kGapUs) {
            points_.clear();
            cycle_.interrupt();
        }
    }
    points_.push_back({sample.sent_us, sample.arrived_us, sample.received_bytes});
    const std::int64_t latest = sample.arrived_us - span_us();
    while (points_.size() > 2 && points_[1].arrived_us <= latest) points_.pop_front();
    const Arrival& from = points_.front();
    const std::int64_t shortest = rate_ > 0 ? kSpanUs : kFirstSpanUs;
    const std::int64_t span = sample.arrived_us - from.arrived_us;
    if (span < shortest) return;
    const double rate = rate_of(sample.received_bytes - from.bytes, span);
    const bool limited = from.sent_us <= sample.idle_us;
    if (!limited) {
        if (measured_us_ == 0 || probed_) {
            rate_ = rate;
            probed_ = false;
            cycle_.note_limit();
            begin_cycle(sample, queue_us);
        }
        measured_us_ = sample.now_us;
        newest_rate_ = rate;
    }
    rate_ = std::max(rate_, rate);
    if (!paced_ && spread_out()) begin_pace(sample.now_us);
}

/// Returns whether the frames of the span were sent together and arrived spread out. Only the link
/// causes this: a sender would have sent them apart, and a busy host would leave one large gap.
bool LinkMeter::spread_out() const {
    const std::int64_t span = points_.back().arrived_us - points_.front().arrived_us;
    if (points_.size() < 4 || span < kSpreadUs ||
        2 * (points_.back().sent_us - points_.front().sent_us) > span) {
        return false;
    }
    for (std::size_t i = 1; i < points_.size(); ++i) {
        if (2 * (points_[i].arrived_us - points_[i - 1].arrived_us) > span) return false;
    }
    return true;
}

std::size_t LinkMeter::window_bytes() const {
    if (!paced_) return std::max(window_bytes_, limits::kFirstWindowBytes);
    const double round = static_cast<double>(
        min_rtt_us() + std::max(times_.slowest_back_us(), min_rtt_us()) + times_.jitter_us());
    return static_cast<std::size_t>(std::clamp(rate_ * round,
                                               static_cast<double>(limits::kFirstWindowBytes),
                                               static_cast<double>(limits::kMaxWindowBytes)));
}

double LinkMeter::pace(std::int64_t now_us) const {
    if (now_us < drain_until_us_) return rate_ * kDrainPace;
    return rate_ * (probed_ ? limits::kPaceOfRate : cycle_.pace(now_us));
}

std::int64_t LinkMeter::next_send_us(std::int64_t now_us, std::size_t bytes) {
    if (!paced_) return free_us_ = now_us;
    const double cost = static_cast<double>(bytes) / std::max(pace(now_us), kSlowestRate);
    free_us_ = std::max(free_us_, now_us - kCatchUpUs) + static_cast<std::int64_t>(cost);
    return free_us_;
}

LinkModel LinkMeter::model() const {
    LinkModel model;
    model.bytes_per_s = paced_ ? rate_ * 1e6 : 0;
    model.delay_us = min_rtt_us() / 2;
    model.jitter_us = std::max<std::int64_t>(0, smoothed_rtt_us() - min_rtt_us());
    return model;
}

}  // namespace molink
