#pragma once

#include <cstdint>
#include <vector>

#include "partition/sequence_value.h"

namespace molink {

/// Orders that the heuristic values for one problem at most.
inline constexpr std::int64_t kMaxOrdersTried = 30'000;

/// A good order of a good choice of nodes, for problems that are too large for search_orders:
/// three beginnings (nodes put in one by one where they do best; the best choice from the given
/// order; that from nearest neighbour to nearest neighbour), each improved by exchanging, moving
/// and turning around pieces until nothing helps or its third of kMaxOrdersTried is used up.
/// Deterministic. Empty when it finds no order that works.
std::vector<std::size_t> search_heuristic(const SplitProblem& problem, SequenceValuer& valuer);

}  // namespace molink
