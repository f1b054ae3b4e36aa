#pragma once

#include <molink/scheduler.h>

namespace molink::fuzz {

/// Returns whether scheduler.h permits `plan` on `view`. This is a second implementation of its
/// rules, which uses only the queues and ignores cost.
bool plan_is_permitted(const SchedulerView& view, const StepPlan& plan);

}  // namespace molink::fuzz
