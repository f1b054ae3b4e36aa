// The first stretches are short, so that their queue stays within half the head-of-line bound. They
// become longer only on a link without a queue. A cycle that begins while a queue exists has no
// faster stretch, because that stretch would add to the queue.
#include "channel/pace_cycle.h"

#include <algorithm>

#include "base/limits.h"

namespace molink {
namespace {

constexpr double kFirstGain = 0.25;
constexpr double kLargestGain = 1;
/// If the rate grows by more than this factor in a cycle, the next one begins early.
constexpr double kFoundMore = 1.1;

}  // namespace

void PaceCycle::begin(const Arrival& at, std::int64_t now_us, std::int64_t queue_us, double rate,
                      std::int64_t round_us, std::int64_t hol_bound_us) {
    if (queue_seen_ || stretch_us_ == 0) {
        stretch_us_ =
            std::min(round_us,
                     static_cast<std::int64_t>(static_cast<double>(hol_bound_us) / 2 / kFirstGain));
        gain_ = kFirstGain;
    } else if (stretch_us_ < round_us) {
        stretch_us_ = std::min(2 * stretch_us_, round_us);
    } else {
        gain_ = std::min(1.5 * gain_, kLargestGain);
    }
    const bool waits = queue_us > hol_bound_us / 8;
    begin_us_ = waits ? now_us - 2 * stretch_us_ : now_us;
    queue_seen_ = waits;
    rate_ = rate;
    least_queue_us_ = INT64_MAX;
    from_ = at;
    whole_ = true;
}

void PaceCycle::note_queue(std::int64_t queue_us) {
    least_queue_us_ = std::min(least_queue_us_, queue_us);
}

bool PaceCycle::over(std::int64_t now_us, double rate, std::int64_t round_us) const {
    const int rounds = rate > kFoundMore * rate_ ? 2 : 8;
    return now_us - begin_us_ >= rounds * round_us;
}

double PaceCycle::pace(std::int64_t now_us) const {
    const std::int64_t at = now_us - begin_us_;
    if (at < stretch_us_) return 1 + gain_;
    return at < 2 * stretch_us_ ? 1 - kFirstGain : limits::kPaceOfRate;
}

}  // namespace molink
