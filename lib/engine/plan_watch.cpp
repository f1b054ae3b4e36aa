// The times of a scheduler's calls. Only differences of one clock are used, so that a test can
// drive them. Lines are written without the lock: a sink of the host may be as slow as its
// scheduler, and the loop must not wait for one because of the other.
#include "engine/plan_watch.h"

#include <utility>

#include "base/policy_limits.h"
#include "base/seconds.h"

namespace molink {
void PlanWatch::begin(const std::string& name, const char* what) {
    const std::int64_t now = clock_.now_us();
    const std::lock_guard lock(mutex_);
    if (name_ != name) name_ = name;
    what_ = what;
    begun_us_ = now;
    told_ = false;
}

bool PlanWatch::may_log(std::int64_t now_us) {
    if (now_us < next_log_us_) return false;
    next_log_us_ = now_us + limits::kSlowPlanLogUs;
    return true;
}

void PlanWatch::end() {
    const std::int64_t now = clock_.now_us();
    std::unique_lock lock(mutex_);
    const char* what = std::exchange(what_, nullptr);
    const std::int64_t took_us = now - begun_us_;
    if (what == nullptr || took_us <= limits::kSlowPlanUs || !(told_ || may_log(now))) return;
    const std::string name = name_;
    lock.unlock();
    log_(LogLevel::warning,
         "scheduler '{}' took {:.1f} s to {}; the head did nothing else meanwhile", name,
         seconds(took_us), what);
}

void PlanWatch::look() {
    const std::int64_t now = clock_.now_us();
    std::unique_lock lock(mutex_);
    const char* what = what_;
    const std::int64_t lasts_us = now - begun_us_;
    if (what == nullptr || lasts_us <= limits::kSlowPlanUs || !may_log(now)) return;
    told_ = true;
    const std::string name = name_;
    lock.unlock();
    log_(LogLevel::warning,
         "scheduler '{}' was asked {:.1f} s ago to {} and has not returned; the head does nothing "
         "else until it does",
         name, seconds(lasts_us), what);
}

}  // namespace molink
