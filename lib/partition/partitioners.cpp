// The built-in partitioners. They choose the search and make a plan from the split that it finds.
// The search covers the given order if that is fixed, all orders if their number permits it, and
// otherwise the order that a heuristic finds.
#include <molink/partitioner.h>

#include <cassert>
#include <deque>

#include "base/error.h"
#include "partition/left_out.h"
#include "partition/order_search.h"
#include "partition/partition_check.h"

namespace molink {
namespace {

Searcher search_in_order(const SplitProblem& problem, std::vector<std::size_t> order) {
    return [&problem, order = std::move(order)](const SearchPass& pass) {
        return order.empty() ? Split() : search_order(pass, order, problem.required);
    };
}

Searcher search_any_order(const SplitProblem& problem) {
    OrderRules rules;
    for (std::size_t i = 0; i < problem.required.size(); ++i) {
        rules.usable |= 1u << i;
        if (problem.required[i]) rules.required |= 1u << i;
    }
    if (problem.input.pin_first) rules.pinned = 0;
    return [rules](const SearchPass& pass) { return search_orders(pass, rules); };
}

std::vector<std::size_t> given_order(const PartitionInput& input) {
    std::vector<std::size_t> order(input.nodes.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    return order;
}

Result<PartitionPlan> make_plan(const SplitProblem& problem, const Split& split,
                                std::vector<LeftOut> left_out) {
    assert(split.stages.back().layers.end == problem.input.model.layer_count());
    PartitionPlan plan;
    plan.lm_head_first = problem.input.lm_head == LmHead::first;
    for (const SplitStage& stage : split.stages) {
        StagePlan planned;
        planned.node = problem.input.nodes[stage.node].id;
        planned.layers = stage.layers;
        plan.stages.push_back(planned);
    }
    plan.left_out = std::move(left_out);
    MOLINK_RETURN_IF_ERROR(complete_partition(problem.input, plan));
    return plan;
}

class EvenPartitioner final : public Partitioner {
public:
    std::string_view name() const override { return "even"; }
    Result<PartitionPlan> partition(const PartitionInput& asked) override {
        PartitionInput input = with_lm_head(asked, asked.lm_head == LmHead::first);
        input.keep_all = input.fixed_order = true;
        MOLINK_RETURN_IF_ERROR(check_partition_input(input));
        SplitProblem problem(input);
        problem.even = true;
        const Candidate candidate{problem, search_in_order(problem, given_order(input))};
        const Choice choice = choose_split({&candidate, 1});
        if (choice.split.stages.empty()) return explain_no_split(input);
        return make_plan(problem, choice.split, {});
    }
};

class CostPartitioner final : public Partitioner {
public:
    explicit CostPartitioner(const PartitionerOptions& options) : options_(options) {}

    std::string_view name() const override { return "cost"; }
    Result<PartitionPlan> partition(const PartitionInput& asked) override {
        PartitionInput input = asked;
        input.objective = options_.objective.value_or(asked.objective);
        MOLINK_RETURN_IF_ERROR(check_partition_input(input));
        std::deque<Place> places;  // a deque, because a Place refers to itself
        if (input.lm_head != LmHead::first) places.emplace_back(with_lm_head(input, false));
        const bool may_be_first = input.model.tied_embeddings && input.nodes.size() > 1;
        if (input.lm_head == LmHead::first || (input.lm_head == LmHead::automatic && may_be_first))
            places.emplace_back(with_lm_head(input, true));
        std::vector<Candidate> candidates;
        for (Place& place : places) candidates.push_back({place.problem, searcher_of(place)});
        const Choice choice = choose_split(candidates);
        if (choice.split.stages.empty()) return explain_no_split(input);
        Place& place = places[choice.candidate];
        return make_plan(place.problem, choice.split,
                         explain_left_out(place.problem, choice.split, place.valuer));
    }

private:
    /// The problem with the LM head in one place.
    struct Place {
        explicit Place(PartitionInput placed)
            : input(std::move(placed)), problem(input), valuer(problem) {}
        PartitionInput input;
        SplitProblem problem;
        SequenceValuer valuer;
    };

    static Searcher searcher_of(Place& place) {
        const PartitionInput& input = place.input;
        if (input.fixed_order) return search_in_order(place.problem, given_order(input));
        if (orders_can_be_searched(input.nodes.size(), input.model.layer_count())) {
            return search_any_order(place.problem);
        }
        return search_in_order(place.problem, search_heuristic(place.problem, place.valuer));
    }

    PartitionerOptions options_;
};

}  // namespace

std::unique_ptr<Partitioner> make_even_partitioner() {
    return std::make_unique<EvenPartitioner>();
}

std::unique_ptr<Partitioner> make_cost_partitioner(const PartitionerOptions& options) {
    return std::make_unique<CostPartitioner>(options);
}

Result<std::unique_ptr<Partitioner>> make_partitioner(std::string_view name,
                                                      const PartitionerOptions& options) {
    if (name == "even") return make_even_partitioner();
    if (name == "cost") return make_cost_partitioner(options);
    return invalid_argument("partitioner '{}'; even and cost are permitted", name);
}

}  // namespace molink
