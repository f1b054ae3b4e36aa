#pragma once

#include <vector>

#include "partition/sequence_value.h"

namespace molink {

/// Explains in a sentence with numbers why each node without a stage in `split` was left out.
/// Returns the nodes in the order of the input.
std::vector<LeftOut> explain_left_out(const SplitProblem& problem, const Split& split,
                                      SequenceValuer& valuer);

}  // namespace molink
