#pragma once

#include <cstdint>
#include <vector>

#include "partition/sequence_value.h"

namespace molink {

/// Finds a good order of a good choice of nodes, for problems that are too large for
/// search_orders(). It starts from four orders: nodes inserted one by one where each does best; the
/// best choice in the given order; the best choice in the order from nearest neighbour to nearest
/// neighbour; and the best order so far, reversed. Each is improved by exchanging, moving and
/// reversing pieces until nothing helps or its quarter of limits::kMaxOrdersTried is used up.
/// Deterministic. Empty when no order works.
std::vector<std::size_t> search_heuristic(const SplitProblem& problem, SequenceValuer& valuer);

}  // namespace molink
