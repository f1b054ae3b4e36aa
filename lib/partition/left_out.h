#pragma once

#include <vector>

#include "partition/sequence_value.h"

namespace molink {

/// Explains, in words with numbers, why each node without a stage in `split` was left out.
std::vector<LeftOut> explain_left_out(const SplitProblem& problem, const Split& split,
                                      SequenceValuer& valuer);

}  // namespace molink
