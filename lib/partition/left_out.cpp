// Explains why a plan leaves a node out: computes the plan with this node and names the first
// figure that gets worse. If all orders can be searched, the search runs again with the node as a
// required one. Otherwise the node is inserted into the order of the plan at its best place, or at
// its own place when the order is fixed.
#include "partition/left_out.h"

#include <algorithm>

#include "base/error.h"

namespace molink {
namespace {

double ms(double us) {
    return us / 1000;
}

/// The figures of a plan that the objectives compare.
struct Worth {
    bool fits = false;
    double main_us = 0;
    bool by_link = false;  // main_us is the time of a link
    double blocks = 0;     // KV blocks of the smallest stage; negative: not known
    double ring_us = 0;
};

class LeftOutReasons {
public:
    LeftOutReasons(const SplitProblem& problem, const Split& split, SequenceValuer& valuer)
        : problem_(problem), split_(split), valuer_(valuer) {
        for (const SplitStage& stage : split.stages) order_.push_back(stage.node);
        now_ = worth_of(split);
    }

    std::string reason(std::size_t node) {
        const std::string memory = lacks_memory(node);
        if (!memory.empty()) return memory;
        const Worth with = worth_with(node);
        if (!with.fits) {
            return fmt::format("with it no split of {} layers over {} nodes fits",
                               problem_.input.model.layer_count(), order_.size() + 1);
        }
        if (problem_.input.objective == PartitionObjective::latency) {
            return longer_ring(with.ring_us);
        }
        if (with.main_us > now_.main_us) {
            return fmt::format("with it the slowest {} takes {:.1f} ms instead of {:.1f} ms",
                               with.by_link ? "link" : "stage", ms(with.main_us), ms(now_.main_us));
        }
        if (with.blocks >= 0 && with.blocks < now_.blocks) {
            return fmt::format(
                "with it the smallest stage holds {:.0f} KV blocks instead of {:.0f}", with.blocks,
                now_.blocks);
        }
        return longer_ring(with.ring_us);
    }

private:
    std::string longer_ring(double with_us) const {
        return fmt::format("with it a token takes {:.1f} ms round the ring instead of {:.1f} ms",
                           ms(with_us), ms(now_.ring_us));
    }

    std::string lacks_memory(std::size_t node) const {
        const PartitionModel& model = problem_.input.model;
        const std::int32_t least = smallest_layer(model);
        StageMemory memory = stage_memory(model, {least, least + 1}, false, false);
        memory.memory_bytes = problem_.input.nodes[node].memory_bytes;
        return check_capacity("its memory is too small: a stage of one layer", memory,
                              model.min_blocks)
            .message();
    }

    double ring_of(const Split& split) const {
        const PartitionInput& input = problem_.input;
        double ring = enter_us(input, problem_.links, split.stages.front().node) +
                      return_us(input, problem_.links, planned_ring(input, split.stages.size()),
                                split.stages.back().node, split.stages.front().node);
        for (std::size_t i = 0; i < split.stages.size(); ++i) {
            const SplitStage& stage = split.stages[i];
            ring += problem_.costs.decode_us(stage.node, stage.layers, 1);
            if (i > 0) ring += hop_us(input, problem_.links, split.stages[i - 1].node, stage.node);
        }
        return ring;
    }

    /// Returns the time of the link into stage i of `split`, us; 0 when only the head sends to it.
    double link_into(const Split& split, std::size_t i) const {
        const RingShape ring = planned_ring(problem_.input, split.stages.size());
        const auto from = ring.previous(i);
        if (!from) return 0;
        const LinkModel& link =
            problem_.links.between(split.stages[*from].node, split.stages[i].node);
        return link_work_us(problem_.input, link, problem_.rows, ring.cargo(*from));
    }

    Worth worth_of(const Split& split) const {
        Worth worth;
        if (split.stages.empty()) return worth;
        worth.fits = true;
        worth.ring_us = ring_of(split);
        worth.blocks = std::numeric_limits<double>::infinity();
        for (std::size_t i = 0; i < split.stages.size(); ++i) {
            const SplitStage& stage = split.stages[i];
            const double time = problem_.costs.work_us(stage.node, stage.layers, problem_.rows);
            const double link = link_into(split, i);
            worth.by_link =
                link > std::max(time, worth.main_us) || (worth.by_link && time <= worth.main_us);
            worth.main_us = std::max({worth.main_us, time, link});
            const auto blocks =
                static_cast<double>(problem_.costs.kv_blocks(stage.node, stage.layers));
            worth.blocks = std::min(worth.blocks, blocks);
        }
        return worth;
    }

    Worth worth_with(std::size_t node) {
        if (problem_.input.fixed_order) {
            const auto place = std::lower_bound(order_.begin(), order_.end(), node);
            return valued(node, static_cast<std::size_t>(place - order_.begin()));
        }
        if (!orders_can_be_searched(problem_.input.nodes.size(),
                                    problem_.input.model.layer_count())) {
            return best_insertion(node);
        }
        OrderRules rules;
        for (std::size_t used : order_) rules.usable |= 1u << used;
        rules.usable |= 1u << node;
        rules.required = rules.usable;
        if (problem_.input.pin_first) rules.pinned = 0;
        if (problem_.input.objective == PartitionObjective::latency) {
            return worth_of(search_orders(ring_pass(problem_), rules));
        }
        const Split fastest = search_orders(slowest_pass(problem_), rules);
        Worth worth = worth_of(fastest);
        const double bound = now_.main_us * kPlanTolerance;
        if (!worth.fits || worth.main_us > bound) return worth;
        const Split roomiest = search_orders(roomiest_pass(problem_, bound), rules);
        const double fastest_us = worth.main_us;
        worth = worth_of(roomiest.stages.empty() ? fastest : roomiest);
        worth.main_us = std::min(fastest_us, now_.main_us);
        return worth;
    }

    /// Values the plan's order with `node` inserted at position `at`, as the heuristic does. The KV
    /// blocks stay unknown.
    Worth valued(std::size_t node, std::size_t at) {
        std::vector<std::size_t> sequence = order_;
        sequence.insert(sequence.begin() + static_cast<std::ptrdiff_t>(at), node);
        const SequenceValue value = valuer_.value(sequence);
        const SequenceValue before = valuer_.value(order_);
        Worth worth;
        worth.fits = value.deficit == 0;
        worth.main_us = value.main_us;
        worth.by_link = value.by_link;
        worth.blocks = -1;
        const bool latency = problem_.input.objective == PartitionObjective::latency;
        worth.ring_us = latency ? value.main_us : now_.ring_us + value.ring_us - before.ring_us;
        return worth;
    }

    Worth best_insertion(std::size_t node) {
        Worth best;
        const std::size_t from = problem_.input.pin_first ? 1 : 0;
        for (std::size_t at = from; at <= order_.size(); ++at) {
            const Worth worth = valued(node, at);
            if (worth.fits && (!best.fits || worth.main_us < best.main_us)) best = worth;
        }
        return best;
    }

    const SplitProblem& problem_;
    const Split& split_;
    SequenceValuer& valuer_;
    std::vector<std::size_t> order_;
    Worth now_;
};

}  // namespace

std::vector<LeftOut> explain_left_out(const SplitProblem& problem, const Split& split,
                                      SequenceValuer& valuer) {
    std::vector<bool> used(problem.input.nodes.size(), false);
    for (const SplitStage& stage : split.stages) used[stage.node] = true;
    std::vector<LeftOut> left;
    LeftOutReasons reasons(problem, split, valuer);
    for (std::size_t node = 0; node < used.size(); ++node) {
        if (!used[node]) left.push_back({problem.input.nodes[node].id, reasons.reason(node)});
    }
    return left;
}

}  // namespace molink
