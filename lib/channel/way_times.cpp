// Times of frames under way. The smoothed round trip follows at once when the path becomes longer.
// The slowest return time and the swing of delays fall slowly, because recent delays may happen
// again.
#include "channel/way_times.h"

#include <algorithm>

namespace molink {

void WayTimes::note(const RoundTrip& trip, std::int64_t now_us) {
    const std::int64_t rtt = std::max<std::int64_t>(trip.round_trip_us, 1);
    least_.note(rtt, now_us);
    measured_ = true;
    const std::int64_t smoothed = smoothed_us_ == 0 ? rtt : (7 * smoothed_us_ + rtt) / 8;
    smoothed_us_ = std::max(smoothed, least_.value());
    DelayFilter& delays = delays_[static_cast<std::size_t>(trip.track)];
    delays.note(trip.arrived_us - trip.sent_us, now_us);
    swing_us_ = std::max(delays.swing_us(), swing_us_ - swing_us_ / 256 - 1);
    slowest_back_us_ -= slowest_back_us_ / 1024;
    slowest_back_us_ = std::max(slowest_back_us_, rtt - delays.newest_us());
}

void WayTimes::raise(std::int64_t step_us) {
    for (DelayFilter& delays : delays_) delays.raise(step_us);
}

std::int64_t WayTimes::jitter_us() const {
    return std::max<std::int64_t>(0, swing_us_ - hol_bound_us_ / 2);
}

}  // namespace molink
