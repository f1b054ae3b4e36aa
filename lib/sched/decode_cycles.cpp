// How many micro-batches to keep under way (lib/DESIGN.md, Micro-batches). The optimum is flat:
// every part has a price that no model knows, so the fewest that are near it are best. A change of
// the number makes rows wait, so one in use is kept while it is hardly worse.
#include "sched/decode_cycles.h"

#include <algorithm>

#include "sched/step_parts.h"

namespace molink {
namespace {

/// The fewest micro-batches within this much of the best cycle. Where that would have a stage busy
/// for nearly all of it, the last few percent are not to be had: parts queue, and stages that share
/// a machine's memory slow each other down.
constexpr double kNearBest = 1.03;
constexpr double kNearBusy = 1.08;
/// Prompts compute in what decode leaves of a stage: while some wait it takes no more than this, as
/// long as its cycle stays within that much of the best one. Larger micro-batches do the same work
/// in less time.
constexpr double kShareBesidePrompts = 0.25;
constexpr double kNearBesidePrompts = 2.0;
/// A number in use is kept while it is within this much, and not far above the fewest.
constexpr double kKeep = 1.05;
/// While decode uses at most this share of every stage and link, more micro-batches cost nothing:
/// rows need not wait for each other, and where a link's rate is unknown, smaller messages pass it
/// sooner. Without prompts the share is half, so that parts seldom meet on a stage.
constexpr double kIdle = 0.5;
constexpr double kIdleBesidePrompts = 0.25;

}  // namespace

DecodeCycles::DecodeCycles(const RingModel& ring, std::int32_t population)
    : ring_(ring), population_(population), most_(std::min(population, kMost)) {
    for (std::int32_t n = 1; n <= most_; ++n) {
        us_[static_cast<std::size_t>(n)] = ring.cycle_us(population, n);
        if (us(n) < us(best_)) best_ = n;
    }
}

double DecodeCycles::busy(std::int32_t n) const {
    return n * ring_.slowest_compute_us(PartKind::decode, ceil_div(population_, n)) / us(n);
}

double DecodeCycles::used(std::int32_t n) const {
    return n * ring_.slowest_us(PartKind::decode, ceil_div(population_, n)) / us(n);
}

std::int32_t DecodeCycles::most_while_idle(std::int32_t n, bool prompts) const {
    const double idle = prompts ? kIdleBesidePrompts : kIdle;
    while (n < most_ && used(n + 1) <= idle && us(n + 1) <= us(best_) * kKeep) ++n;
    return n;
}

std::int32_t DecodeCycles::fewest_near_best() const {
    const double over = std::clamp((busy(best_) - kBusy) / (1 - kBusy), 0.0, 1.0);
    const double near = us(best_) * (kNearBest + over * (kNearBusy - kNearBest));
    std::int32_t fewest = 1;
    while (fewest < most_ && us(fewest) > near) ++fewest;
    return fewest;
}

std::int32_t DecodeCycles::fewest_beside_prompts() const {
    std::int32_t fewest = fewest_near_best();
    while (fewest > 1 && busy(fewest) > kShareBesidePrompts &&
           us(fewest - 1) <= us(best_) * kNearBesidePrompts) {
        --fewest;
    }
    return fewest;
}

/// While streams begin one by one their number is that of the micro-batches, too. Where stages rest
/// some more than the fewest may stay.
bool DecodeCycles::keeps(std::int32_t now, std::int32_t fewest, bool prompts) const {
    if (now == 0 || us(now) > us(best_) * kKeep) return false;
    const bool rest = !prompts && busy(now) < kBusy;
    return now <= (rest ? fewest + fewest / 2 + 1 : fewest);
}

std::int32_t DecodeCycles::choose(std::int32_t now, bool prompts) const {
    now = std::min(now, most_);
    const std::int32_t fewest = prompts ? fewest_beside_prompts() : fewest_near_best();
    return most_while_idle(keeps(now, fewest, prompts) ? now : fewest, prompts);
}

}  // namespace molink
