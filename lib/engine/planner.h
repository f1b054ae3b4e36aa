#pragma once

#include <cstdint>
#include <memory>

#include <molink/metrics.h>
#include <molink/scheduler.h>

#include "base/log.h"
#include "engine/plan_check.h"

namespace molink {

/// Asks the scheduler for plans and lets only permitted ones through. When the scheduler's plan is
/// refused, or stays empty although nothing is under way, the built-in policy plans that step; both
/// are counted. A scheduler that throws has its plan refused. Thread: the head's loop.
class Planner {
public:
    /// `scheduler`: null for the default one.
    Planner(std::unique_ptr<Scheduler> scheduler, Log log);

    /// The next plan, checked; empty when nothing is to start now. `find` agrees with the view's
    /// queues; `under_way`: some part is, so that another event will come.
    StepPlan next(const SchedulerView& view, const SequenceLookup& find, bool under_way);
    void observe(const PartReport& report);
    void fill_metrics(MetricsSnapshot& metrics) const;

private:
    Status ask(const SchedulerView& view, const SequenceLookup& find, StepPlan& plan);

    std::unique_ptr<Scheduler> scheduler_;
    std::unique_ptr<Scheduler> fallback_;
    Log log_;
    std::uint64_t refused_ = 0;
    std::uint64_t by_fallback_ = 0;
};

}  // namespace molink
