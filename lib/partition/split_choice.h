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

/// Times whose ratio is at most this are equally good.
inline constexpr double kPlanTolerance = 1.02;

/// A checked input and the values that all searches derive from it.
struct SplitProblem {
    /// `partition_input` must name the place of the LM head, not `automatic`, and must outlive this
    /// object.
    explicit SplitProblem(const PartitionInput& partition_input);

    const PartitionInput& input;
    StageCosts costs;
    LinkTable links;
    double rows;                 ///< planned_rows(input)
    std::vector<bool> required;  ///< [nodes] must hold a stage
    bool even = false;           ///< a stage costs its number of layers, a link nothing
};

/// Limits of a pass. It forbids slower stages and links, and stages with fewer KV blocks.
struct PassLimits {
    double slowest_us = std::numeric_limits<double>::infinity();
    double kv_blocks = -std::numeric_limits<double>::infinity();
};

/// Time of the slowest stage or link for planned_rows() tokens of output and their prompts.
/// `throughput` minimises it.
SearchPass slowest_pass(const SplitProblem& problem);
/// Time of one row of one sequence round the ring. `latency` minimises it. `stage_bonus_us` is
/// subtracted for every stage.
SearchPass ring_pass(const SplitProblem& problem, const PassLimits& limits = {},
                     double stage_bonus_us = 0);
/// KV blocks of the smallest stage, negated. Forbids stages and links that are slower than
/// `bound_us`.
SearchPass roomiest_pass(const SplitProblem& problem, double bound_us);

/// Searches one order, or all of them, for the best split of a pass.
using Searcher = std::function<Split(const SearchPass& pass)>;

/// The problem with the LM head in one place, and its search.
struct Candidate {
    const SplitProblem& problem;
    Searcher search;
};

struct Choice {
    Split split;                ///< has no stages when nothing fits
    std::size_t candidate = 0;  ///< index of the candidate with this split; the first among equals
};

/// Returns the best split over all candidates by the objective of the problem, see
/// make_cost_partitioner(). The problems must differ only in the place of the LM head.
Choice choose_split(std::span<const Candidate> candidates);

}  // namespace molink
