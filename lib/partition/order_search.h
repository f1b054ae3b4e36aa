#pragma once

#include <cstdint>
#include <vector>

#include "partition/sequence_value.h"

namespace molink {

/// Finds a good choice of nodes and a good order of them, for problems that are too large for
/// search_orders(). It starts from four orders: nodes inserted one by one where each does best; the
/// best choice in the given order; the best choice in the order from nearest neighbour to nearest
/// neighbour; and the best order so far, reversed. From each start, it adds, removes and exchanges
/// nodes and moves and reverses pieces until nothing helps or the budget is used up. Start i of 4
/// may use the first i quarters of limits::kMaxOrdersTried, less what earlier starts used.
/// Deterministic. Returns no nodes when no order works.
std::vector<std::size_t> search_heuristic(const SplitProblem& problem, SequenceValuer& valuer);

}  // namespace molink
