#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include <molink/clock.h>

#include "base/log.h"

namespace molink {

/// Warns of a scheduler that takes long: when a call has returned, and while it lasts, because one
/// that never returns could not be told otherwise. Times are those of the clock. Thread: begin()
/// and end() on the head's loop, look() on any other.
class PlanWatch {
public:
    /// `clock` must outlive it.
    PlanWatch(const Clock& clock, const Log& log) : clock_(clock), log_(log) {}

    /// Scheduler `name` is asked to do `what`, such as "plan a step".
    void begin(const std::string& name, const char* what);
    /// It has returned.
    void end();
    /// Warns if a call lasts. To be called about once in limits::kSlowPlanUs.
    void look();

private:
    bool may_log(std::int64_t now_us);  // under mutex_

    const Clock& clock_;
    Log log_;
    std::mutex mutex_;
    std::string name_;            // under mutex_, as all below
    const char* what_ = nullptr;  // null: no call is under way
    std::int64_t begun_us_ = 0;   // of that call
    bool told_ = false;           // that it lasts
    std::int64_t next_log_us_ = 0;
};

}  // namespace molink
