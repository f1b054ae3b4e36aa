#pragma once

#include <array>
#include <cstdint>

#include "sched/ring_model.h"

namespace molink {

/// Decode cycles of a population of rows by the number of micro-batches, as the ring predicts
/// them, and which number is worth having.
class DecodeCycles {
public:
    static constexpr std::int32_t kMost = 64;
    /// Share of a cycle above which a stage counts as always busy.
    static constexpr double kBusy = 0.9;

    /// `population` >= 1.
    DecodeCycles(const RingModel& ring, std::int32_t population);

    /// Micro-batches to keep under way. `now`: in use, 0: none yet; `prompts`: they fill what
    /// decode leaves of the ring.
    std::int32_t choose(std::int32_t now, bool prompts) const;

private:
    double us(std::int32_t n) const { return us_[static_cast<std::size_t>(n)]; }
    /// Share of a cycle in which the slowest stage, or the cores that stages share, compute.
    double busy(std::int32_t n) const;
    /// The same for the slowest of stages, shared cores and links.
    double used(std::int32_t n) const;
    std::int32_t fewest_near_best() const;
    std::int32_t fewest_beside_prompts() const;
    std::int32_t most_while_idle(std::int32_t n, bool prompts) const;
    bool keeps(std::int32_t now, std::int32_t fewest, bool prompts) const;

    const RingModel& ring_;
    std::int32_t population_;
    std::int32_t most_;
    std::int32_t best_ = 1;               // the number with the shortest cycle
    std::array<double, kMost + 1> us_{};  // [n]
};

}  // namespace molink
