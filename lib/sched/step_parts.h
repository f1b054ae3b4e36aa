#pragma once

#include <algorithm>
#include <cstdint>

#include <molink/scheduler.h>

namespace molink {

/// What is left of a micro-batch while it is planned.
struct StepBudget {
    std::int32_t rows = 0;
    std::int64_t blocks = 0;
};

/// ceil(a / b), b > 0.
constexpr std::int32_t ceil_div(std::int32_t a, std::int32_t b) {
    return (a + b - 1) / b;
}

/// Sequences that decode, at a stage or between two steps.
inline std::int32_t decode_population(const SchedulerView& view) {
    return static_cast<std::int32_t>(view.decodable.size()) + view.decoding_in_flight;
}

/// Up to `most` decode rows, longest idle first. When blocks have run out for one of them the
/// youngest idle sequence that is younger gives way: the plan is that preemption alone then, and
/// the next call sees its blocks as free.
void plan_decode_rows(const SchedulerView& view, std::int32_t most, StepBudget& budget,
                      StepPlan& plan);

/// Prefill runs of a plan, added one prompt after the other.
class PrefillRuns {
public:
    /// At most `most` rows together; waiting sequences while fewer than `max_running` run.
    PrefillRuns(const SchedulerView& view, std::int32_t most, std::int32_t max_running,
                StepBudget budget, StepPlan& plan);
    enum class Added : std::uint8_t {
        yes,
        full,    ///< no row is left
        closed,  ///< it waits and cannot be admitted: no other that waits may pass it
    };
    /// The next slice of `sequence`, prefilling or waiting, as far as there is room.
    Added add(const SequenceView& sequence);

private:
    const SchedulerView& view_;
    std::int32_t max_running_;
    std::int32_t running_;
    StepBudget budget_;
    StepPlan& plan_;
};

/// Prefill runs first come, first served: what was begun, then what waits.
void plan_prefill_rows(const SchedulerView& view, std::int32_t most, std::int32_t max_running,
                       StepBudget budget, StepPlan& plan);

/// plan_prefill_rows() would find something.
bool can_prefill(const SchedulerView& view, std::int32_t max_running);

}  // namespace molink
