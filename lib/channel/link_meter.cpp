// See link_meter.h. The cycle of eight round trips (one at 5/4 of the rate, one
// at 3/4, six at it) finds bandwidth that became free; a queue beyond the bound
// switches to 3/4 until it is gone.
#include "channel/link_meter.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {
namespace {

constexpr std::size_t kLargestWindowBytes = 32u << 20;
constexpr double kPaceOfRate = 0.98;
/// How late a timer may be without lowering the rate: poll() has a granularity of a millisecond,
/// a frame takes as long.
constexpr std::int64_t kCatchUpUs = 3'000;

}  // namespace

void LinkMeter::restart() {
    window_bytes_ = limits::kFirstWindowBytes;
    free_us_ = 0;
}

void LinkMeter::add(const Sample& sample) {
    now_us_ = sample.now_us;
    const std::int64_t rtt = std::max<std::int64_t>(sample.round_trip_us, 1);
    min_rtt_us_ = min_rtt_us_ == 0 ? rtt : std::min(min_rtt_us_, rtt);
    smoothed_rtt_us_ = smoothed_rtt_us_ == 0 ? rtt : (7 * smoothed_rtt_us_ + rtt) / 8;
    update_rate(sample);
    const bool queue = rtt > min_rtt_us_ + hol_bound_us_;
    if (!paced_) {
        window_bytes_ =
            std::min(std::max(window_bytes_, limits::kFirstWindowBytes) + sample.acked_bytes,
                     kLargestWindowBytes);
        if (queue && rate_ > 0 && !sample.app_limited) {
            paced_ = true;
            cycle_begin_us_ = sample.now_us;
        }
    }
    draining_ = paced_ && queue;
}

void LinkMeter::update_rate(const Sample& sample) {
    const double interval = static_cast<double>(std::max<std::int64_t>(sample.interval_us, 1));
    const double rate = static_cast<double>(sample.delivered_bytes) / interval;
    if (sample.app_limited && rate <= rate_) return;
    const std::int64_t horizon =
        sample.now_us - std::max<std::int64_t>(10 * smoothed_rtt_us_, 1000);
    while (!samples_.empty() && samples_.front().at_us < horizon) samples_.pop_front();
    while (!samples_.empty() && samples_.back().rate <= rate) samples_.pop_back();
    samples_.push_back({sample.now_us, rate});
    rate_ = samples_.front().rate;
}

std::size_t LinkMeter::window_bytes() const {
    if (!paced_) return std::max(window_bytes_, limits::kFirstWindowBytes);
    const double product = rate_ * static_cast<double>(min_rtt_us_);
    return std::clamp(static_cast<std::size_t>(2 * product), limits::kFirstWindowBytes,
                      kLargestWindowBytes);
}

double LinkMeter::pace() const {
    if (draining_) return rate_ * 0.75;
    const std::int64_t phase = std::max<std::int64_t>(min_rtt_us_, 1000);
    const std::int64_t at = ((now_us_ - cycle_begin_us_) / phase) % 8;
    const double gain = at == 0 ? 1.25 : at == 1 ? 0.75 : kPaceOfRate;
    return rate_ * gain;
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
