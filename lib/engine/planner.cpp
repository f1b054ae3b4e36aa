// Between policy and mechanism. A wrong or idle policy must not stop the engine, so there is always
// a second one that plans as most engines do; how often it had to is counted, because otherwise a
// scheduler that never plans would seem to work. Relies on check_plan for what a plan may ask.
#include "engine/planner.h"

#include <exception>
#include <string>
#include <utility>

namespace molink {

Planner::Planner(std::unique_ptr<Scheduler> scheduler, Log log)
    : scheduler_(scheduler ? std::move(scheduler) : make_adaptive_scheduler()),
      fallback_(make_depth_scheduler()),
      log_(log) {}

StepPlan Planner::next(const SchedulerView& view, const SequenceLookup& find, bool under_way) {
    StepPlan plan;
    const Status checked = ask(view, find, plan);
    if (checked.ok() && (!plan.empty() || under_way)) return plan;
    if (!checked.ok()) {
        ++refused_;
        log_(LogLevel::error, "a plan of scheduler '{}' is refused: {}", scheduler_->name(),
             checked.message());
    }
    plan = StepPlan();
    fallback_->plan(view, plan);
    if (plan.empty() || !check_plan(view, find, plan).ok()) return {};
    ++by_fallback_;
    return plan;
}

/// Fills `plan` and says whether it is permitted.
Status Planner::ask(const SchedulerView& view, const SequenceLookup& find, StepPlan& plan) {
    try {
        scheduler_->plan(view, plan);
    } catch (const std::exception& error) {
        return Status(StatusCode::internal, std::string("it threw ") + error.what());
    } catch (...) {
        return Status(StatusCode::internal, "it threw");
    }
    return check_plan(view, find, plan);
}

void Planner::observe(const PartReport& report) {
    try {
        scheduler_->observe(report);
    } catch (...) {
        log_(LogLevel::error, "scheduler '{}' threw when it was told of a part",
             scheduler_->name());
    }
}

void Planner::fill_metrics(MetricsSnapshot& metrics) const {
    metrics.plans_refused = refused_;
    metrics.plans_by_fallback = by_fallback_;
}

}  // namespace molink
