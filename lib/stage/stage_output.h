#pragma once

#include <vector>

#include "work/part.h"
#include "work/retired_part.h"

namespace molink {

/// Returns the part that goes back to the LM head on the first stage. `activations` are the rows
/// whose logits are needed.
ReturnedPart make_returned(const PartPlan& plan, ActivationRows activations,
                           std::vector<StageTime> stage_times, std::vector<RowFault> faults);

/// Adds the times of this stage to its output. A retired part lists one entry for each stage.
/// Therefore the time for a `returned` part is added to the entry of the first stage.
void add_stage_time(StageOutput& output, bool returned, const StageTime& time);

}  // namespace molink
