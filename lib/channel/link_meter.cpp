// See link_meter.h. A cycle of eight round trips begins with a stretch at 5/4 of the rate and one
// at 3/4, which finds bandwidth that became free; they are so short that the queue they make stays
// within half the head-of-line bound. Jitter makes single round trips long, a queue makes all of
// them long: only the fastest of the last eight tells of one.
#include "channel/link_meter.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {
namespace {

constexpr std::size_t kLargestWindowBytes = 32u << 20;
constexpr double kPaceOfRate = 0.98;
constexpr double kFirstGain = 0.25;
constexpr double kLargestGain = 1;
/// How late a timer may be without lowering the rate: poll() has a granularity of a millisecond,
/// a frame takes as long.
constexpr std::int64_t kCatchUpUs = 3'000;

}  // namespace

void LinkMeter::restart() {
    window_bytes_ = limits::kFirstWindowBytes;
    free_us_ = 0;
}

void LinkMeter::set_probed(double bytes_per_s) {
    if (measured_us_ > 0 || bytes_per_s <= 0) return;
    rate_ = bytes_per_s / 1e6;
    probed_ = paced_ = true;
}

void LinkMeter::note_round_trip(std::int64_t rtt_us) {
    min_rtt_us_ = min_rtt_us_ == 0 ? rtt_us : std::min(min_rtt_us_, rtt_us);
    smoothed_rtt_us_ = smoothed_rtt_us_ == 0 ? rtt_us : (7 * smoothed_rtt_us_ + rtt_us) / 8;
    recent_rtts_us_[next_recent_++ % recent_rtts_us_.size()] = rtt_us;
}

void LinkMeter::add(const Sample& sample) {
    now_us_ = sample.now_us;
    note_round_trip(std::max<std::int64_t>(sample.round_trip_us, 1));
    update_rate(sample);
    const std::int64_t fastest = *std::min_element(recent_rtts_us_.begin(), recent_rtts_us_.end());
    const std::int64_t bound = draining_ ? hol_bound_us_ / 2 : hol_bound_us_;
    const bool queue = fastest > min_rtt_us_ + bound;
    queue_seen_ |= fastest > min_rtt_us_ + hol_bound_us_ / 8 || sample.app_limited;
    if (!paced_ && !sample.app_limited) {
        window_bytes_ =
            std::min(std::max(window_bytes_, limits::kFirstWindowBytes) + sample.acked_bytes,
                     kLargestWindowBytes);
        if (queue && rate_ > 0) {
            paced_ = queue_seen_ = true;
            begin_cycle(sample.now_us);
        }
    }
    draining_ = paced_ && queue;
    if (sample.now_us - cycle_begin_us_ >= 8 * std::max<std::int64_t>(min_rtt_us_, 1000)) {
        begin_cycle(sample.now_us);
    }
}

void LinkMeter::begin_cycle(std::int64_t now_us) {
    const std::int64_t round_trip = std::max<std::int64_t>(min_rtt_us_, 1000);
    const auto shortest = std::min(
        round_trip, static_cast<std::int64_t>(static_cast<double>(hol_bound_us_) / 2 / kFirstGain));
    if (queue_seen_ || stretch_us_ == 0) {
        stretch_us_ = shortest;
        gain_ = kFirstGain;
    } else if (stretch_us_ < round_trip) {
        stretch_us_ = std::min(2 * stretch_us_, round_trip);
    } else {
        gain_ = std::min(1.5 * gain_, kLargestGain);
    }
    cycle_begin_us_ = now_us;
    queue_seen_ = false;
}

void LinkMeter::update_rate(const Sample& sample) {
    const double interval = static_cast<double>(std::max<std::int64_t>(sample.interval_us, 1));
    const double rate = static_cast<double>(sample.delivered_bytes) / interval;
    if (sample.app_limited && rate <= rate_) return;
    if (!sample.app_limited) measured_us_ = sample.now_us;
    if (probed_ && !sample.app_limited) {
        // The probes' rate goes when a whole round trip of backlog says something better.
        if (backlogged_since_ == 0) backlogged_since_ = sample.now_us;
        probed_ = sample.now_us - backlogged_since_ < min_rtt_us_;
        queue_seen_ |= !probed_;
        if (!probed_) begin_cycle(sample.now_us);
    }
    const std::int64_t horizon =
        sample.now_us - std::max<std::int64_t>(10 * smoothed_rtt_us_, 1000);
    while (!samples_.empty() && samples_.front().at_us < horizon) samples_.pop_front();
    while (!samples_.empty() && samples_.back().rate <= rate) samples_.pop_back();
    samples_.push_back({sample.now_us, rate});
    if (!probed_) rate_ = samples_.front().rate;
}

std::size_t LinkMeter::window_bytes() const {
    if (!paced_) return std::max(window_bytes_, limits::kFirstWindowBytes);
    const double product = rate_ * static_cast<double>(min_rtt_us_);
    return std::clamp(static_cast<std::size_t>(2 * product), limits::kFirstWindowBytes,
                      kLargestWindowBytes);
}

double LinkMeter::pace() const {
    if (draining_) return rate_ * 0.75;
    if (probed_) return rate_ * kPaceOfRate;
    const std::int64_t at = now_us_ - cycle_begin_us_;
    if (at < stretch_us_) return rate_ * (1 + gain_);
    return at < 2 * stretch_us_ ? rate_ * (1 - kFirstGain) : rate_ * kPaceOfRate;
}

std::int64_t LinkMeter::next_send_us(std::int64_t now_us, std::size_t bytes) {
    if (!paced_) return free_us_ = now_us;
    const double cost = static_cast<double>(bytes) / std::max(pace(), 1e-6);
    free_us_ = std::max(free_us_, now_us - kCatchUpUs) + static_cast<std::int64_t>(cost);
    return free_us_;
}

LinkModel LinkMeter::model() const {
    LinkModel model;
    model.bytes_per_s = paced_ ? rate_ * 1e6 : 0;
    model.delay_us = min_rtt_us_ / 2;
    model.jitter_us = std::max<std::int64_t>(0, smoothed_rtt_us_ - min_rtt_us_);
    return model;
}

}  // namespace molink
