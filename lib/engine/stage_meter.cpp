// Service times of stages as policies see them: exponentially smoothed over
// about ten parts, so that a change of load shows within a second and a single
// hiccup does not.
#include "engine/stage_meter.h"

#include <algorithm>

namespace molink {
namespace {

constexpr double kWeightOfNewest = 0.1;

void smooth(double& value, double sample) {
    value = value == 0 ? sample : value + kWeightOfNewest * (sample - value);
}

}  // namespace

void StageMeter::reset(std::size_t stages) {
    smoothed_.assign(stages, {});
    totals_.assign(stages, {});
}

void StageMeter::add(PartKind kind, std::int32_t rows, std::span<const StageTime> times) {
    const std::size_t count = std::min(times.size(), totals_.size());
    for (std::size_t i = 0; i < count; ++i) {
        totals_[i].parts += 1;
        totals_[i].rows += static_cast<std::uint64_t>(rows);
        totals_[i].compute_us += times[i].compute_us;
        totals_[i].wait_us += times[i].wait_us;
        const double per_row = static_cast<double>(times[i].compute_us) / std::max(rows, 1);
        if (kind == PartKind::decode) {
            smooth(smoothed_[i].decode_us, times[i].compute_us);
            smooth(smoothed_[i].decode_row_us, per_row);
        } else {
            smooth(smoothed_[i].prefill_row_us, per_row);
        }
    }
}

void StageMeter::fill(std::span<StageView> views) const {
    for (std::size_t i = 0; i < std::min(views.size(), smoothed_.size()); ++i) {
        views[i].decode_us = smoothed_[i].decode_us;
        views[i].decode_row_us = smoothed_[i].decode_row_us;
        views[i].prefill_row_us = smoothed_[i].prefill_row_us;
    }
}

}  // namespace molink
