#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <molink/metrics.h>
#include <molink/scheduler.h>

#include "base/log.h"
#include "engine/plan_check.h"
#include "engine/plan_watch.h"

namespace molink {

/// Asks the scheduler for plans and lets only permitted ones through. When the scheduler's plan is
/// refused, or stays empty although nothing is under way, the built-in policy plans that step; both
/// are counted. A scheduler that throws has its plan refused. Thread: the head's loop.
class Planner {
public:
    /// `scheduler`: null for the default one. `watch` times its calls and must outlive the planner;
    /// null: nobody does.
    Planner(std::unique_ptr<Scheduler> scheduler, Log log, PlanWatch* watch = nullptr);

    /// The next plan, checked; empty when nothing is to start now. `find` agrees with the view's
    /// queues; `under_way`: some part is, so that another event will come.
    StepPlan next(const SchedulerView& view, const SequenceLookup& find, bool under_way);
    void observe(const PartReport& report);
    void fill_metrics(MetricsSnapshot& metrics) const;

private:
    /// Runs `work`, a call of the scheduler. Returns what it threw.
    template <typename Work>
    Status call(const char* what, const Work& work);
    Status ask(const SchedulerView& view, const SequenceLookup& find, StepPlan& plan);

    std::unique_ptr<Scheduler> scheduler_;
    std::string name_;  // of scheduler_
    std::unique_ptr<Scheduler> fallback_;
    Log log_;
    PlanWatch* watch_;
    std::uint64_t refused_ = 0;
    std::uint64_t by_fallback_ = 0;
};

}  // namespace molink
