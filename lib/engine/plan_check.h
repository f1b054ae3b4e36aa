#pragma once

#include <functional>

#include <molink/scheduler.h>
#include <molink/status.h>

namespace molink {

/// Returns the sequence of an id, or null. Must agree with the queues of the view.
using SequenceLookup = std::function<const SequenceView*(SequenceId)>;

/// Checks a plan. Refuses unknown or repeated sequences, runs beyond the prompt or a limit, drafts
/// beyond the sequence's end or outside the vocabulary, more admissions than may run, more KV
/// blocks than are free, and the preemption of a sequence with parts under way. Cost is linear in
/// the plan. Errors: invalid_argument naming the sequence and the numbers.
Status check_plan(const SchedulerView& view, const SequenceLookup& find, const StepPlan& plan);

}  // namespace molink
