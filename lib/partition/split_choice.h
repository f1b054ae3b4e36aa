#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include <molink/partitioner.h>

#include "partition/split_search.h"
#include "partition/stage_costs.h"

namespace molink {

/// A checked input, and what is read off it once.
struct SplitProblem {
    explicit SplitProblem(const PartitionInput& partition_input);

    const PartitionInput& input;  ///< the place of the LM head decided
    LinkTable links;
    double rows;                 ///< planned_rows(input)
    std::vector<bool> required;  ///< [nodes] must hold a stage
    bool even = false;           ///< stages cost their number of layers, links nothing
};

/// Stages and links for planned_rows() and their prompts, the largest counts: what `throughput`
/// minimises.
SearchPass slowest_pass(const SplitProblem& problem);
/// One row of one sequence round the ring, the sum counts: what `latency` minimises.
SearchPass ring_pass(const SplitProblem& problem);
/// KV blocks of the smallest stage, negated, where no stage or link is slower than `bound_us`.
SearchPass roomiest_pass(const SplitProblem& problem, double bound_us);

/// Answers a pass: a search over one order, or over all.
using Searcher = std::function<Split(const SearchPass& pass)>;

/// One place of the LM head, and who searches with it there.
struct Candidate {
    const SplitProblem& problem;
    Searcher search;
};

struct Choice {
    Split split;                ///< without stages when nothing fits
    std::size_t candidate = 0;  ///< whose it is; the foremost among equals
};

/// The split that the problem's objective asks for, see make_cost_partitioner, over all candidates:
/// problems that differ in the place of the LM head alone.
Choice choose_split(std::span<const Candidate> candidates);

}  // namespace molink
