#pragma once

#include <memory>

#include <molink/scheduler.h>

#include "fuzz_input.h"

namespace molink::fuzz {

/// A plan of any kind: mostly of sequences that the view shows, sometimes of others, with counts
/// that fit or do not.
void arbitrary_plan(FuzzInput& input, const SchedulerView& view, StepPlan& plan);

/// Any scheduler, possessed: at each call the input decides whether its plan passes unchanged, is
/// spoilt, or is replaced. When the input has ended it is the scheduler itself again.
class ByteScheduler final : public Scheduler {
public:
    /// `input` must outlive it.
    ByteScheduler(FuzzInput& input, std::unique_ptr<Scheduler> inner)
        : input_(input), inner_(std::move(inner)) {}

    std::string_view name() const override { return "bytes"; }
    void plan(const SchedulerView& view, StepPlan& plan) override;
    void observe(const PartReport& report) override { inner_->observe(report); }

    /// Plans handed out that scheduler.h forbids.
    std::uint64_t forbidden = 0;

private:
    void spoil(const SchedulerView& view, StepPlan& plan);

    FuzzInput& input_;
    std::unique_ptr<Scheduler> inner_;
};

}  // namespace molink::fuzz
