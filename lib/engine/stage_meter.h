#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <molink/metrics.h>
#include <molink/scheduler.h>

#include "wire/messages.h"

namespace molink {

/// Smoothed service times of the stages, from what retired parts report. Thread: the head's loop.
class StageMeter {
public:
    void reset(std::size_t stages);
    /// A retired part of `rows` rows; times are [stages].
    void add(PartKind kind, std::int32_t rows, std::span<const StageTime> times);
    /// Copies what was measured into the views [stages].
    void fill(std::span<StageView> views) const;
    const std::vector<StageMetrics>& totals() const { return totals_; }

private:
    struct Smoothed {
        double decode_us = 0;
        double decode_row_us = 0;
        double prefill_row_us = 0;
    };
    std::vector<Smoothed> smoothed_;
    std::vector<StageMetrics> totals_;
};

}  // namespace molink
