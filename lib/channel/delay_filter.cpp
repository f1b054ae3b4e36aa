// Small windows of numbers, because every acknowledgement reads them. A delay is the difference of
// two machines' clocks, so only its changes have a meaning. A slow drift of one clock against the
// other must not look like a queue.
#include "channel/delay_filter.h"

namespace molink {
namespace {

constexpr std::int64_t kSpellUs = 10'000'000;

}  // namespace

void Least::note(std::int64_t value, std::int64_t now_us) {
    if (now_us - begin_us_ > kSpellUs) {
        spells_[1] = spells_[0];
        spells_[0] = INT64_MAX;
        begin_us_ = now_us;
    }
    spells_[0] = std::min(spells_[0], value);
}

void Least::raise(std::int64_t step) {
    for (std::int64_t& spell : spells_) {
        if (spell != INT64_MAX) spell += step;
    }
}

void DelayFilter::note(std::int64_t delay_us, std::int64_t now_us) {
    newest_ = delay_us;
    recent_[count_++ % recent_.size()] = delay_us;
    least_.note(delay_us, now_us);
}

std::int64_t DelayFilter::queue_us() const {
    std::int64_t fastest = newest_;
    for (std::size_t back = 1; back <= std::min(count_, kFastestOf); ++back) {
        fastest = std::min(fastest, recent_[(count_ - back) % recent_.size()]);
    }
    return fastest - least_.value();
}

std::int64_t DelayFilter::swing_us() const {
    std::int64_t low = newest_;  // the loop goes from the newest backwards
    std::int64_t high = newest_;
    std::int64_t rise = 0;
    std::int64_t fall = 0;
    for (std::size_t back = 1; back <= std::min(count_, recent_.size()); ++back) {
        const std::int64_t delay = recent_[(count_ - back) % recent_.size()];
        rise = std::max(rise, high - delay);
        fall = std::max(fall, delay - low);
        low = std::min(low, delay);
        high = std::max(high, delay);
    }
    return std::min(rise, fall);
}

}  // namespace molink
