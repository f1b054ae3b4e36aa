#pragma once

#include <memory>

#include <molink/scheduler.h>

#include "fuzz_input.h"

namespace molink::fuzz {

/// Fills in a plan of any kind: mostly with sequences of the view, sometimes with others, and with
/// counts that may or may not fit.
void arbitrary_plan(FuzzInput& input, const SchedulerView& view, StepPlan& plan);

/// A scheduler whose plans the input disturbs: at each call the input decides whether the plan of
/// `inner` is kept, changed or replaced. After the end of the input all plans are those of `inner`.
class ByteScheduler final : public Scheduler {
public:
    /// `input` must outlive the scheduler.
    ByteScheduler(FuzzInput& input, std::unique_ptr<Scheduler> inner)
        : input_(input), inner_(std::move(inner)) {}

    std::string_view name() const override { return "bytes"; }
    void plan(const SchedulerView& view, StepPlan& plan) override;
    void observe(const PartReport& report) override { inner_->observe(report); }

    /// Number of returned plans that scheduler.h forbids.
    std::uint64_t forbidden = 0;

private:
    void spoil(const SchedulerView& view, StepPlan& plan);

    FuzzInput& input_;
    std::unique_ptr<Scheduler> inner_;
};

}  // namespace molink::fuzz
