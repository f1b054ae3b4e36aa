#pragma once

#include <molink/scheduler.h>

namespace molink::fuzz {

/// Whether scheduler.h permits `plan` on `view`: its rules written down a second time, over the
/// queues alone and without regard to cost.
bool plan_is_permitted(const SchedulerView& view, const StepPlan& plan);

}  // namespace molink::fuzz
