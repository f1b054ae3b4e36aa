#pragma once

#include <functional>

#include <molink/scheduler.h>
#include <molink/status.h>

namespace molink {

/// The sequence of an id, null when there is none. It must agree with the view's queues.
using SequenceLookup = std::function<const SequenceView*(SequenceId)>;

/// Permits a plan or says what is wrong with it: unknown or doubled sequences, runs beyond the
/// prompt or a limit, drafts beyond the sequence's end or outside the vocabulary, more admissions
/// than may run, more KV blocks than are free, a preemption of what is under way. Cost is linear in
/// the plan. Errors: invalid_argument naming the sequence and
/// the numbers.
Status check_plan(const SchedulerView& view, const SequenceLookup& find, const StepPlan& plan);

}  // namespace molink
