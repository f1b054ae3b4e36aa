// What the built-in partitioners want, as questions to the searches. Throughput asks several in
// turn: how fast could the slowest be; how many KV blocks can be had within 2 % of that; how short
// is the ring within both; and, because a node that costs almost nothing should stay, the same once
// more with a small bonus for every node. The bonus sums up to at most a tenth of the shortest
// ring, so nodes are kept exactly as long as they are cheap.
#include "partition/split_choice.h"

#include <algorithm>
#include <cmath>

namespace molink {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kTolerance = 1.02;
constexpr double kKeepShare = 0.1;

SearchPass empty_pass(const SplitProblem& problem, SearchPass::Combine combine) {
    SearchPass pass;
    pass.combine = combine;
    pass.nodes = problem.input.nodes.size();
    pass.layers = problem.input.model.layers;
    pass.stage.resize(pass.nodes * SearchPass::kRoles * (static_cast<std::size_t>(pass.layers) + 1),
                      kInfinity);
    pass.link.resize(pass.nodes * pass.nodes, pass.neutral());
    pass.enter.resize(pass.nodes, pass.neutral());
    pass.leave.resize(pass.nodes, pass.neutral());
    if (problem.input.lm_head == LmHead::first) pass.back = pass.link;
    for (const PartitionNode& node : problem.input.nodes) pass.fixed.push_back(node.fixed);
    return pass;
}

/// A range of `size` layers in `role`, wherever it is; a range that is not last ends before the
/// end.
LayerRange range_of(std::size_t role, std::int32_t size, std::int32_t layers) {
    if (role >= SearchPass::role(false, true)) return {layers - size, layers};
    if (role == SearchPass::role(true, false)) return {0, size};
    return {1, 1 + size};
}

template <typename Value>
void fill_stages(SearchPass& pass, const PartitionInput& input, const Value& value) {
    const std::int32_t layers = pass.layers;
    for (std::size_t node = 0; node < pass.nodes; ++node) {
        for (std::size_t role = 0; role < SearchPass::kRoles; ++role) {
            const auto row =
                (node * SearchPass::kRoles + role) * (static_cast<std::size_t>(layers) + 1);
            const bool whole = role == SearchPass::role(true, true);
            const bool only_middle = role == SearchPass::role(false, false);
            const std::int32_t most = whole ? layers : layers - (only_middle ? 2 : 1);
            for (std::int32_t size = whole ? layers : 1; size <= most; ++size) {
                const LayerRange range = range_of(role, size, layers);
                if (stage_kv_blocks(input, node, range) < input.model.min_blocks) continue;
                pass.stage[row + static_cast<std::size_t>(size)] = value(node, range);
            }
        }
    }
}

/// Of `links` [nodes, nodes]; a node alone sends itself nothing.
template <typename Value>
void fill_links(const SearchPass& pass, std::vector<double>& links, const Value& value) {
    if (links.empty()) return;
    for (std::size_t from = 0; from < pass.nodes; ++from) {
        for (std::size_t to = 0; to < pass.nodes; ++to) {
            if (from != to) links[from * pass.nodes + to] = value(from, to);
        }
    }
}

double stage_cost(const SplitProblem& problem, std::size_t node, LayerRange layers) {
    return problem.even ? static_cast<double>(layers.size())
                        : stage_work_us(problem.input, node, layers, problem.rows);
}

double link_cost(const SplitProblem& problem, std::size_t from, std::size_t to, bool back) {
    if (problem.even) return 0;
    return link_work_us(problem.input, problem.links.between(from, to), problem.rows, back);
}

/// Forbids what is slower than `bound_us` or holds fewer than `blocks`.
void restrict_pass(SearchPass& pass, const SplitProblem& problem, double bound_us, double blocks) {
    const PartitionInput& input = problem.input;
    SearchPass permitted = empty_pass(problem, pass.combine);
    fill_stages(permitted, input, [&](std::size_t node, LayerRange range) {
        const bool slow = stage_cost(problem, node, range) > bound_us;
        const bool small = static_cast<double>(stage_kv_blocks(input, node, range)) < blocks;
        return slow || small ? kInfinity : 0.0;
    });
    for (std::size_t i = 0; i < pass.stage.size(); ++i) {
        if (permitted.stage[i] == kInfinity) pass.stage[i] = kInfinity;
    }
    for (std::size_t i = 0; i < pass.link.size(); ++i) {
        const std::size_t from = i / pass.nodes;
        const std::size_t to = i % pass.nodes;
        if (link_cost(problem, from, to, false) > bound_us) pass.link[i] = kInfinity;
        if (pass.back.empty()) continue;
        if (link_cost(problem, from, to, true) > bound_us) pass.back[i] = kInfinity;
    }
}

/// The best answer to `passes` [candidates].
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
    const double bound = std::max(fastest.split.value, 0.0) * kTolerance;
    const Choice roomiest = ask(candidates, passes_of(candidates, [&](const SplitProblem& problem) {
                                    return roomiest_pass(problem, bound);
                                }));
    if (roomiest.split.stages.empty()) return fastest;
    std::vector<SearchPass> rings = passes_of(candidates, [&](const SplitProblem& problem) {
        SearchPass ring = ring_pass(problem);
        restrict_pass(ring, problem, bound, -roomiest.split.value);
        return ring;
    });
    Choice shortest = ask(candidates, rings);
    const std::vector<bool>& required = candidates.front().problem.required;
    const bool all = std::find(required.begin(), required.end(), false) == required.end();
    if (shortest.split.stages.empty()) return roomiest;
    if (all) return shortest;
    // Also where times are unknown, a node more is better than one less.
    const double bonus =
        std::max(shortest.split.value * kKeepShare / static_cast<double>(required.size()), 1e-6);
    for (SearchPass& ring : rings) {
        for (double& value : ring.stage) value -= bonus;
    }
    return ask(candidates, rings);
}

}  // namespace

SplitProblem::SplitProblem(const PartitionInput& partition_input)
    : input(partition_input),
      links(partition_input),
      rows(planned_rows(partition_input)),
      required(partition_input.nodes.size(), partition_input.keep_all) {
    for (std::size_t i = 0; i < required.size(); ++i) {
        if (input.nodes[i].fixed || (i == 0 && input.pin_first)) required[i] = true;
    }
}

SearchPass slowest_pass(const SplitProblem& problem) {
    SearchPass pass = empty_pass(problem, SearchPass::Combine::largest);
    fill_stages(pass, problem.input, [&](std::size_t node, LayerRange range) {
        return stage_cost(problem, node, range);
    });
    for (const bool back : {false, true}) {
        fill_links(pass, back ? pass.back : pass.link, [&](std::size_t from, std::size_t to) {
            return link_cost(problem, from, to, back);
        });
    }
    return pass;
}

SearchPass ring_pass(const SplitProblem& problem) {
    const PartitionInput& input = problem.input;
    SearchPass pass = empty_pass(problem, SearchPass::Combine::sum);
    fill_stages(pass, input, [&](std::size_t node, LayerRange range) {
        return stage_decode_us(input, node, range, 1);
    });
    for (std::vector<double>* links : {&pass.link, &pass.back}) {
        fill_links(pass, *links, [&](std::size_t from, std::size_t to) {
            return hop_us(input, problem.links, from, to);
        });
    }
    for (std::size_t node = 0; node < pass.nodes; ++node) {
        pass.enter[node] = enter_us(input, problem.links, node);
        pass.leave[node] = leave_us(input, problem.links, node);
        // The first stage tells the head, wherever the last one is.
        if (!pass.back.empty()) pass.enter[node] += pass.leave[node];
    }
    return pass;
}

SearchPass roomiest_pass(const SplitProblem& problem, double bound_us) {
    SearchPass pass = empty_pass(problem, SearchPass::Combine::largest);
    fill_stages(pass, problem.input, [&](std::size_t node, LayerRange range) {
        return -static_cast<double>(stage_kv_blocks(problem.input, node, range));
    });
    restrict_pass(pass, problem, bound_us, -kInfinity);
    return pass;
}

Choice choose_split(std::span<const Candidate> candidates) {
    const SplitProblem& problem = candidates.front().problem;
    if (problem.input.objective == PartitionObjective::latency && !problem.even) {
        return ask(candidates, passes_of(candidates, ring_pass));
    }
    return choose_for_throughput(candidates);
}

}  // namespace molink
