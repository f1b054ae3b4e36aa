#pragma once

#include <vector>

#include "partition/sequence_value.h"

namespace molink {

/// Why each node that `split` does without was left out, in words with numbers.
std::vector<LeftOut> explain_left_out(const SplitProblem& problem, const Split& split,
                                      SequenceValuer& valuer);

}  // namespace molink
