#pragma once

#include <vector>

#include "work/part.h"
#include "work/retired_part.h"

namespace molink {

/// The part of a plan that goes back to the LM head on the first stage, with the rows that it
/// needs.
ReturnedPart make_returned(const PartPlan& plan, ActivationRows activations,
                           std::vector<StageTime> stage_times);

/// Adds what this stage spent on a part. A retired part lists one time for each stage, so what the
/// LM head on the first stage spends on a part that returned is added to that stage's time.
void add_stage_time(StageOutput& output, bool returned, const StageTime& time);

}  // namespace molink
