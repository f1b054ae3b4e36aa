// See link_meter.h. A cycle of eight rounds begins with a stretch at 5/4 of the rate and one at
// 3/4, which finds bandwidth that became free; they are so short that the queue they make stays
// within half the head-of-line bound. A larger queue tells the link's rate exactly and is drained
// at once, for as long as it takes by that rate; one that no drain changes is a longer way.
#include "channel/link_meter.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {
namespace {

constexpr double kDrainPace = 0.5;
constexpr double kFirstGain = 0.25;
constexpr double kLargestGain = 1;
/// Growth of the rate in a cycle after which the next one begins early.
constexpr double kFoundMore = 1.1;
/// How late a timer may be without lowering the rate: poll() has a granularity of a millisecond,
/// a frame takes as long.
constexpr std::int64_t kCatchUpUs = 3'000;
/// Arrivals over which a rate is taken: real clocks see them by the millisecond.
constexpr std::int64_t kSpanUs = 20'000;
constexpr std::int64_t kLongestSpanUs = 300'000;
constexpr std::int64_t kSpanOfJitter = 10;
/// Before the first rate is known a burst of this length must do.
constexpr std::int64_t kFirstSpanUs = 4'000;
/// Least length of a burst that tells of a slow link by itself.
constexpr std::int64_t kSpreadUs = 10'000;
/// Between arrivals this far apart the link was idle or stalled, not slow.
constexpr std::int64_t kGapUs = 200'000;
/// Bytes per us; beyond both the peer's counters are made up, and neither rates nor times made of
/// them may leave what the rest can hold.
constexpr double kSlowest = 1e-6;
constexpr double kFastest = 1e6;

double rate_of(std::int64_t bytes, std::int64_t span_us) {
    return std::clamp(static_cast<double>(bytes) / static_cast<double>(span_us), kSlowest,
                      kFastest);
}

}  // namespace

void LinkMeter::restart() {
    window_bytes_ = limits::kFirstWindowBytes;
    free_us_ = 0;
    points_.clear();
    newest_rate_ = 0;
    cycle_whole_ = false;
}

void LinkMeter::set_probed(double bytes_per_s, std::int64_t now_us) {
    if (measured_us_ > 0 || bytes_per_s <= 0) return;
    const double old_rate = rate_;
    rate_ = bytes_per_s / 1e6;
    probed_ = paced_ = true;
    shorten_wait(old_rate, now_us);
}

/// What went out is paid for at the rate that is known by now: else a train of probes that met a
/// rate far too low would hold up the link for seconds after it was corrected.
void LinkMeter::shorten_wait(double old_rate, std::int64_t now_us) {
    if (old_rate <= 0 || rate_ <= old_rate || free_us_ <= now_us) return;
    const auto wait = static_cast<double>(free_us_ - now_us);
    free_us_ = now_us + static_cast<std::int64_t>(wait * old_rate / rate_);
}

std::int64_t LinkMeter::round_us() const {
    return std::max(min_rtt_us(), kSpanUs);
}

/// The cycle itself makes delays swing by half the bound.
std::int64_t LinkMeter::jitter_us() const {
    return std::max<std::int64_t>(0, swing_us_ - hol_bound_us_ / 2);
}

/// Jitter bunches arrivals; the longer the span the less that matters.
std::int64_t LinkMeter::span_us() const {
    return std::clamp(kSpanOfJitter * jitter_us(), kSpanUs, kLongestSpanUs);
}

void LinkMeter::note_round_trip(const Sample& sample) {
    const std::int64_t rtt = std::max<std::int64_t>(sample.round_trip_us, 1);
    least_rtt_.note(rtt, sample.now_us);
    measured_rtt_ = true;
    const std::int64_t smoothed = smoothed_rtt_us_ == 0 ? rtt : (7 * smoothed_rtt_us_ + rtt) / 8;
    smoothed_rtt_us_ = std::max(smoothed, least_rtt_.value());  // a way that has become longer
    DelayFilter& delays = delays_[static_cast<std::size_t>(sample.track)];
    delays.note(sample.arrived_us - sample.sent_us, sample.now_us);
    swing_us_ = std::max(delays.swing_us(), swing_us_ - swing_us_ / 256 - 1);
    slowest_way_back_us_ -= slowest_way_back_us_ / 1024;
    slowest_way_back_us_ = std::max(slowest_way_back_us_, rtt - delays.newest_us());
}

void LinkMeter::add(const Sample& sample) {
    const double old_rate = rate_;
    note(sample);
    shorten_wait(old_rate, sample.now_us);
}

void LinkMeter::note(const Sample& sample) {
    note_round_trip(sample);
    const std::int64_t queue = delays_[static_cast<std::size_t>(sample.track)].queue_us();
    note_arrival(sample, queue);
    const bool limited = sample.sent_us - sample.idle_us < round_us();
    queue_seen_ |= queue > hol_bound_us_ / 8 || limited;
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
    // As long as there is more to be found, without a pause.
    const int rounds = rate_ > kFoundMore * cycle_rate_ ? 2 : 8;
    cycle_queue_us_ = std::min(cycle_queue_us_, queue);
    if (sample.now_us - cycle_begin_us_ < rounds * round_us()) return;
    correct_rate(sample);
    begin_cycle(sample, queue);
}

/// How long the link takes for what waits before it, by now.
std::int64_t LinkMeter::queued_us(const Sample& sample, std::int64_t queue_us) const {
    const auto under_way =
        static_cast<std::int64_t>(static_cast<double>(sample.in_flight_bytes) / rate_);
    // After a stall everything was late; the window permits no longer queue than a round trip.
    return std::max(std::min(queue_us, round_us()), under_way - slowest_way_back_us_);
}

void LinkMeter::judge_queue(const Sample& sample, std::int64_t queue_us) {
    if (sample.now_us < blind_until_us_) return;
    const std::int64_t bound = 3 * hol_bound_us_ / 4;
    if (queue_us < bound + jitter_us()) {
        in_vain_ = 0;
        drained_queue_us_ = 0;
        return;
    }
    const bool again = drained_queue_us_ > 0;
    in_vain_ = again && 10 * queue_us > 9 * drained_queue_us_ ? in_vain_ + 1 : 0;
    if (!again) rate_before_ = rate_;
    if (in_vain_ >= 2) {
        for (DelayFilter& delays : delays_) delays.raise(queue_us);
        rate_ = rate_before_;
        in_vain_ = 0;
        drained_queue_us_ = 0;
        return;
    }
    drained_queue_us_ = queue_us;
    // What came back from before the pace says less than the link can do.
    if (newest_rate_ > 0 && sample.sent_us > paced_since_us_) rate_ = newest_rate_;
    drain(sample, queue_us);
}

void LinkMeter::drain(const Sample& sample, std::int64_t queue_us) {
    const auto waits = static_cast<double>(queued_us(sample, queue_us));
    drain_until_us_ = sample.now_us + static_cast<std::int64_t>(waits / (1 - kDrainPace));
    blind_until_us_ = drain_until_us_ + slowest_way_back_us_;
}

/// A queue that was never gone in a cycle, though the pace was below the rate, tells that the rate
/// is a little too high, and that the link was never idle: what arrived in this time is what it can
/// do.
void LinkMeter::correct_rate(const Sample& sample) {
    const std::int64_t span = sample.arrived_us - cycle_from_.arrived_us;
    if (!paced_ || !cycle_whole_ || span < 2 * round_us() ||
        cycle_queue_us_ <= hol_bound_us_ / 8 + jitter_us() ||
        cycle_from_.sent_us <= sample.idle_us || sample.now_us < blind_until_us_) {
        return;
    }
    rate_ = rate_of(sample.received_bytes - cycle_from_.bytes, span);
    drain(sample, cycle_queue_us_);
}

void LinkMeter::begin_pace(std::int64_t now_us) {
    paced_ = queue_seen_ = true;
    paced_since_us_ = now_us;
}

void LinkMeter::begin_cycle(const Sample& sample, std::int64_t queue_us) {
    const auto shortest = std::min(
        round_us(), static_cast<std::int64_t>(static_cast<double>(hol_bound_us_) / 2 / kFirstGain));
    if (queue_seen_ || stretch_us_ == 0) {
        stretch_us_ = shortest;
        gain_ = kFirstGain;
    } else if (stretch_us_ < round_us()) {
        stretch_us_ = std::min(2 * stretch_us_, round_us());
    } else {
        gain_ = std::min(1.5 * gain_, kLargestGain);
    }
    // What waits already would be joined by what the faster part makes.
    const bool waits = queue_us > hol_bound_us_ / 8;
    cycle_begin_us_ = waits ? sample.now_us - 2 * stretch_us_ : sample.now_us;
    queue_seen_ = waits;
    cycle_rate_ = rate_;
    cycle_queue_us_ = INT64_MAX;
    cycle_from_ = {sample.sent_us, sample.arrived_us, sample.received_bytes};
    cycle_whole_ = true;
}

/// A rate from what arrived since the newest frame that is a span older than this one.
void LinkMeter::note_arrival(const Sample& sample, std::int64_t queue_us) {
    if (!points_.empty()) {
        const std::int64_t step = sample.arrived_us - points_.back().arrived_us;
        if (step <= 0) return;  // the other track's came later and said more
        if (step > kGapUs) {
            points_.clear();
            cycle_whole_ = false;
        }
    }
    points_.push_back({sample.sent_us, sample.arrived_us, sample.received_bytes});
    const std::int64_t latest = sample.arrived_us - span_us();
    while (points_.size() > 2 && points_[1].arrived_us <= latest) points_.pop_front();
    const Point& from = points_.front();
    const std::int64_t shortest = rate_ > 0 ? kSpanUs : kFirstSpanUs;
    const std::int64_t span = sample.arrived_us - from.arrived_us;
    if (span < shortest) return;
    const double rate = rate_of(sample.received_bytes - from.bytes, span);
    const bool limited = from.sent_us <= sample.idle_us;
    if (!limited) {
        if (measured_us_ == 0 || probed_) {
            rate_ = rate;
            probed_ = false;
            queue_seen_ = true;
            begin_cycle(sample, queue_us);
        }
        measured_us_ = sample.now_us;
        newest_rate_ = rate;
    }
    rate_ = std::max(rate_, rate);
    if (!paced_ && spread_out()) begin_pace(sample.now_us);
}

/// The frames of the span were sent at once and came one by one: that was the link, and neither a
/// host that was busy for a while, nor the sender.
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
    const double times = static_cast<double>(
        min_rtt_us() + std::max(slowest_way_back_us_, min_rtt_us()) + jitter_us());
    return static_cast<std::size_t>(std::clamp(rate_ * times,
                                               static_cast<double>(limits::kFirstWindowBytes),
                                               static_cast<double>(limits::kMaxWindowBytes)));
}

double LinkMeter::pace(std::int64_t now_us) const {
    if (now_us < drain_until_us_) return rate_ * kDrainPace;
    if (probed_) return rate_ * limits::kPaceOfRate;
    const std::int64_t at = now_us - cycle_begin_us_;
    if (at < stretch_us_) return rate_ * (1 + gain_);
    return at < 2 * stretch_us_ ? rate_ * (1 - kFirstGain) : rate_ * limits::kPaceOfRate;
}

std::int64_t LinkMeter::next_send_us(std::int64_t now_us, std::size_t bytes) {
    if (!paced_) return free_us_ = now_us;
    const double cost = static_cast<double>(bytes) / std::max(pace(now_us), kSlowest);
    free_us_ = std::max(free_us_, now_us - kCatchUpUs) + static_cast<std::int64_t>(cost);
    return free_us_;
}

LinkModel LinkMeter::model() const {
    LinkModel model;
    model.bytes_per_s = paced_ ? rate_ * 1e6 : 0;
    model.delay_us = min_rtt_us() / 2;
    model.jitter_us = std::max<std::int64_t>(0, smoothed_rtt_us_ - min_rtt_us());
    return model;
}

}  // namespace molink
