#pragma once

#include <molink/scheduler.h>
#include <molink/status.h>

namespace molink {

/// Permits a plan or says what is wrong with it: unknown or doubled sequences, runs beyond the
/// prompt or a limit, admissions beyond the running set or the free blocks. Errors:
/// invalid_argument naming the sequence and the numbers.
Status check_plan(const SchedulerView& view, const StepPlan& plan);

}  // namespace molink
