#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include <molink/partitioner.h>

#include "partition/split_search.h"
#include "partition/stage_costs.h"

namespace molink {

/// Times and rings within 2 % of each other are equally good.
inline constexpr double kPlanTolerance = 1.02;

/// A checked input with what the searches derive from it once.
struct SplitProblem {
    /// The place of the LM head in `partition_input` is decided; it must outlive this object.
    explicit SplitProblem(const PartitionInput& partition_input);

    const PartitionInput& input;
    StageCosts costs;
    LinkTable links;
    double rows;                 ///< planned_rows(input)
    std::vector<bool> required;  ///< [nodes] must hold a stage
    bool even = false;           ///< a stage costs its number of layers, a link nothing
};

/// What a pass forbids.
struct PassLimits {
    double slowest_us = std::numeric_limits<double>::infinity();  ///< slower stages and links
    double kv_blocks = -std::numeric_limits<double>::infinity();  ///< stages with fewer blocks
};

/// Time of stages and links for planned_rows() and their prompts, combined by the maximum:
/// `throughput` minimises it.
SearchPass slowest_pass(const SplitProblem& problem);
/// Time of one row of one sequence round the ring, combined by the sum: `latency` minimises it.
/// `stage_bonus_us` is subtracted for every stage.
SearchPass ring_pass(const SplitProblem& problem, const PassLimits& limits = {},
                     double stage_bonus_us = 0);
/// KV blocks of the smallest stage, negated, where no stage or link is slower than `bound_us`.
SearchPass roomiest_pass(const SplitProblem& problem, double bound_us);

/// Answers a pass: a search over one order, or over all.
using Searcher = std::function<Split(const SearchPass& pass)>;

/// One place of the LM head, and the search for it.
struct Candidate {
    const SplitProblem& problem;
    Searcher search;
};

struct Choice {
    Split split;                ///< has no stages when nothing fits
    std::size_t candidate = 0;  ///< the one with this split; the first among equals
};

/// The split that the problem's objective asks for, see make_cost_partitioner, over all candidates:
/// problems that differ only in the place of the LM head.
Choice choose_split(std::span<const Candidate> candidates);

}  // namespace molink
