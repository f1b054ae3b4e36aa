#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include <molink/partitioner.h>

#include "partition/split_search.h"
#include "partition/stage_costs.h"

namespace molink {

/// A checked input, and what is read off it once.
struct SplitProblem {
    explicit SplitProblem(const PartitionInput& partition_input);

    const PartitionInput& input;
    LinkTable links;
    double rows;                 ///< planned_rows(input)
    std::vector<bool> required;  ///< [nodes] must hold a stage
    bool even = false;           ///< stages cost their number of layers, links nothing
};

/// Stages and links for planned_rows(), the largest counts: what `throughput` minimises.
SearchPass slowest_pass(const SplitProblem& problem);
/// One row of one sequence round the ring, the sum counts: what `latency` minimises.
SearchPass ring_pass(const SplitProblem& problem);
/// KV blocks of the smallest stage, negated, where no stage or link is slower than `bound_us`.
SearchPass roomiest_pass(const SplitProblem& problem, double bound_us);

/// Answers a pass: a search over one order, or over all.
using Searcher = std::function<Split(const SearchPass& pass)>;

/// The split that the problem's objective asks for: see make_cost_partitioner. Without stages when
/// nothing fits.
Split choose_split(const SplitProblem& problem, const Searcher& search);

}  // namespace molink
