// Chooses a split with the searches. The objective latency takes one pass. The objective throughput
// takes four. The first finds the shortest time of the slowest stage or link. The second finds the
// most KV blocks within 2 % of that time, and the third the shortest ring within both limits. The
// fourth finds that ring again with a small bonus for every stage, because nodes that cost almost
// nothing should stay. All bonuses together are at most a tenth of the shortest ring.
#include "partition/split_choice.h"

#include <algorithm>
#include <cmath>

namespace molink {
namespace {

constexpr double kKeepShare = 0.1;

double stage_cost(const SplitProblem& problem, std::size_t node, LayerRange layers) {
    return problem.even ? static_cast<double>(layers.size())
                        : problem.costs.work_us(node, layers, problem.rows);
}

double link_cost(const SplitProblem& problem, std::size_t from, std::size_t to, LinkCargo cargo) {
    if (problem.even) return 0;
    return link_work_us(problem.input, problem.links.between(from, to), problem.rows, cargo);
}

/// The value of a stage in a pass: time of its share of the workload, time of one row, or KV
/// blocks.
enum class StageQuestion { work, ring, room };

/// Values of the stages of a problem. A longer range never needs less memory or time, so bisection
/// finds the longest permitted range.
class ProblemStages final : public StageValues {
public:
    ProblemStages(const SplitProblem& problem, StageQuestion question, const PassLimits& limits,
                  double bonus_us)
        : problem_(problem), question_(question), limits_(limits), bonus_us_(bonus_us) {
        const double rows = question == StageQuestion::work ? problem.rows : 1;
        for (std::size_t node = 0; node < problem.input.nodes.size(); ++node) {
            rates_.push_back(problem.costs.rate(node, rows));
        }
    }

    std::int32_t fill(std::size_t node, std::int32_t begin, double* out) const override {
        const std::int32_t last = longest(node, begin);
        const StageCosts& costs = problem_.costs;
        const StageRate& rate = rates_[node];
        for (std::int32_t end = begin + 1; end <= last; ++end) {
            const LayerRange layers{begin, end};
            const bool lm_head = costs.has_lm_head(layers);
            if (question_ == StageQuestion::room) {
                out[end] = -static_cast<double>(costs.kv_blocks(node, layers));
            } else if (question_ == StageQuestion::ring) {
                out[end] = rate.decode_us(costs.decode_cost(layers), lm_head) - bonus_us_;
            } else if (problem_.even) {
                out[end] = layers.size();
            } else {
                out[end] =
                    rate.work_us(costs.decode_cost(layers), costs.prefill_cost(layers), lm_head);
            }
        }
        return last;
    }

private:
    bool permitted(std::size_t node, LayerRange layers) const {
        const std::int64_t blocks = problem_.costs.kv_blocks(node, layers);
        if (blocks < problem_.input.model.min_blocks) return false;
        if (static_cast<double>(blocks) < limits_.kv_blocks) return false;
        return limits_.slowest_us == kInfinity ||
               stage_cost(problem_, node, layers) <= limits_.slowest_us;
    }

    std::int32_t longest(std::size_t node, std::int32_t begin) const {
        std::int32_t good = begin;
        std::int32_t bad = problem_.input.model.layer_count() + 1;
        while (good + 1 < bad) {
            const std::int32_t middle = good + (bad - good) / 2;
            (permitted(node, {begin, middle}) ? good : bad) = middle;
        }
        return good;
    }

    const SplitProblem& problem_;
    StageQuestion question_;
    PassLimits limits_;
    double bonus_us_;
    std::vector<StageRate> rates_;  // [nodes]
};

/// Makes a pass in which links cost nothing.
SearchPass make_pass(const SplitProblem& problem, SearchPass::Combine combine,
                     StageQuestion question, const PassLimits& limits, double stage_bonus_us = 0) {
    SearchPass pass;
    pass.combine = combine;
    pass.nodes = problem.input.nodes.size();
    pass.layers = problem.input.model.layer_count();
    pass.stages = std::make_shared<const ProblemStages>(problem, question, limits, stage_bonus_us);
    pass.link.resize(pass.nodes * pass.nodes, pass.neutral());
    pass.enter.resize(pass.nodes, pass.neutral());
    pass.leave.resize(pass.nodes, pass.neutral());
    if (problem.input.lm_head == LmHead::first) pass.back = pass.link;
    for (const PartitionNode& node : problem.input.nodes) pass.fixed.push_back(node.fixed);
    return pass;
}

/// Fills `links` [nodes, nodes] of a pass. The diagonal stays as it is, because a single stage
/// sends itself nothing.
template <typename Value>
void fill_links(const SearchPass& pass, std::vector<double>& links, const Value& value) {
    if (links.empty()) return;
    for (std::size_t from = 0; from < pass.nodes; ++from) {
        for (std::size_t to = 0; to < pass.nodes; ++to) {
            if (from != to) links[from * pass.nodes + to] = value(from, to);
        }
    }
}

/// Forbids the links of a pass that are slower than `bound_us`.
void forbid_slow_links(SearchPass& pass, const SplitProblem& problem, double bound_us) {
    for (std::size_t i = 0; i < pass.link.size(); ++i) {
        const std::size_t from = i / pass.nodes;
        const std::size_t to = i % pass.nodes;
        const auto too_slow = [&](LinkCargo cargo) {
            return link_cost(problem, from, to, cargo) > bound_us;
        };
        if (too_slow(LinkCargo::activations)) pass.link[i] = kInfinity;
        if (!pass.back.empty() && too_slow(LinkCargo::sampled_rows)) pass.back[i] = kInfinity;
    }
}

/// Runs pass i with the search of candidate i and returns the best split.
Choice ask(std::span<const Candidate> candidates, const std::vector<SearchPass>& passes) {
    Choice best;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        Split split = candidates[i].search(passes[i]);
        if (split.value < best.split.value) best = {std::move(split), i};
    }
    return best;
}

template <typename Make>
std::vector<SearchPass> passes_of(std::span<const Candidate> candidates, const Make& make) {
    std::vector<SearchPass> passes;
    for (const Candidate& candidate : candidates) passes.push_back(make(candidate.problem));
    return passes;
}

Choice choose_for_throughput(std::span<const Candidate> candidates) {
    const Choice fastest = ask(candidates, passes_of(candidates, slowest_pass));
    if (fastest.split.stages.empty()) return fastest;
    const double bound = std::max(fastest.split.value, 0.0) * kPlanTolerance;
    const Choice roomiest = ask(candidates, passes_of(candidates, [&](const SplitProblem& problem) {
                                    return roomiest_pass(problem, bound);
                                }));
    if (roomiest.split.stages.empty()) return fastest;
    const PassLimits limits{bound, -roomiest.split.value};
    const auto ask_rings = [&](double bonus_us) {
        return ask(candidates, passes_of(candidates, [&](const SplitProblem& problem) {
                       return ring_pass(problem, limits, bonus_us);
                   }));
    };
    Choice shortest = ask_rings(0);
    const std::vector<bool>& required = candidates.front().problem.required;
    const bool all = std::find(required.begin(), required.end(), false) == required.end();
    if (shortest.split.stages.empty()) return roomiest;
    if (all) return shortest;
    // The smallest bonus is above 0, so that nodes also stay when all times are unknown.
    return ask_rings(
        std::max(shortest.split.value * kKeepShare / static_cast<double>(required.size()), 1e-6));
}

}  // namespace

SplitProblem::SplitProblem(const PartitionInput& partition_input)
    : input(partition_input),
      costs(partition_input),
      links(partition_input),
      rows(planned_rows(partition_input)),
      required(partition_input.nodes.size(), partition_input.keep_all) {
    for (std::size_t i = 0; i < required.size(); ++i) {
        if (input.nodes[i].fixed || (i == 0 && input.pin_first)) required[i] = true;
    }
}

SearchPass slowest_pass(const SplitProblem& problem) {
    SearchPass pass =
        make_pass(problem, SearchPass::Combine::largest, StageQuestion::work, PassLimits());
    fill_links(pass, pass.link, [&](std::size_t from, std::size_t to) {
        return link_cost(problem, from, to, LinkCargo::activations);
    });
    fill_links(pass, pass.back, [&](std::size_t from, std::size_t to) {
        return link_cost(problem, from, to, LinkCargo::sampled_rows);
    });
    return pass;
}

SearchPass ring_pass(const SplitProblem& problem, const PassLimits& limits, double stage_bonus_us) {
    const PartitionInput& input = problem.input;
    SearchPass pass =
        make_pass(problem, SearchPass::Combine::sum, StageQuestion::ring, limits, stage_bonus_us);
    for (std::vector<double>* links : {&pass.link, &pass.back}) {
        fill_links(pass, *links, [&](std::size_t from, std::size_t to) {
            return hop_us(input, problem.links, from, to);
        });
    }
    for (std::size_t node = 0; node < pass.nodes; ++node) {
        pass.enter[node] = enter_us(input, problem.links, node);
        pass.leave[node] = leave_us(input, problem.links, node);
        // With the LM head on the first stage, the first stage sends the token to the head.
        if (!pass.back.empty()) pass.enter[node] += pass.leave[node];
    }
    forbid_slow_links(pass, problem, limits.slowest_us);
    return pass;
}

SearchPass roomiest_pass(const SplitProblem& problem, double bound_us) {
    const PassLimits limits{bound_us};
    SearchPass pass = make_pass(problem, SearchPass::Combine::largest, StageQuestion::room, limits);
    forbid_slow_links(pass, problem, limits.slowest_us);
    return pass;
}

Choice choose_split(std::span<const Candidate> candidates) {
    const SplitProblem& problem = candidates.front().problem;
    if (problem.input.objective == PartitionObjective::latency && !problem.even) {
        return ask(candidates,
                   passes_of(candidates, [](const SplitProblem& each) { return ring_pass(each); }));
    }
    return choose_for_throughput(candidates);
}

}  // namespace molink
