// Between policy and mechanism. A wrong or idle policy must not stop the engine, so there is always
// a second one that plans as most engines do; how often it had to is counted, because otherwise a
// scheduler that never plans would seem to work. Relies on check_plan for what a plan may ask.
#include "engine/planner.h"

#include <utility>

#include "base/foreign.h"

namespace molink {

Planner::Planner(std::unique_ptr<Scheduler> scheduler, Log log, PlanWatch* watch)
    : scheduler_(scheduler ? std::move(scheduler) : make_adaptive_scheduler()),
      name_(foreign_name(*scheduler_)),
      fallback_(make_depth_scheduler()),
      log_(log),
      watch_(watch) {}

StepPlan Planner::next(const SchedulerView& view, const SequenceLookup& find, bool under_way) {
    StepPlan plan;
    const Status checked = ask(view, find, plan);
    if (checked.ok() && (!plan.empty() || under_way)) return plan;
    if (!checked.ok()) {
        ++refused_;
        log_(LogLevel::error, "a plan of scheduler '{}' is refused: {}", name_, checked.message());
    }
    plan = StepPlan();
    fallback_->plan(view, plan);
    if (plan.empty() || !check_plan(view, find, plan).ok()) return {};
    ++by_fallback_;
    return plan;
}

template <typename Work>
Status Planner::call(const char* what, const Work& work) {
    if (watch_ != nullptr) watch_->begin(name_, what);
    const Status called = call_foreign(what, [&]() -> Status {
        work();
        return {};
    });
    if (watch_ != nullptr) watch_->end();
    return called;
}

/// Fills `plan` and says whether it is permitted.
Status Planner::ask(const SchedulerView& view, const SequenceLookup& find, StepPlan& plan) {
    MOLINK_RETURN_IF_ERROR(call("plan a step", [&] { scheduler_->plan(view, plan); }));
    return check_plan(view, find, plan);
}

void Planner::observe(const PartReport& report) {
    const Status told = call("observe a part", [&] { scheduler_->observe(report); });
    if (told.ok()) return;
    log_(LogLevel::error, "scheduler '{}' was told of a part: {}", name_, told.message());
}

void Planner::fill_metrics(MetricsSnapshot& metrics) const {
    metrics.plans_refused = refused_;
    metrics.plans_by_fallback = by_fallback_;
}

}  // namespace molink
