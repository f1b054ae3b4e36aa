// The built-in partitioners: which search answers, and the plan that its split becomes. Over all
// orders where their number permits, in the given order where that is fixed, else in the order that
// a heuristic finds.
#include <molink/partitioner.h>

#include "base/error.h"
#include "partition/left_out.h"
#include "partition/order_search.h"
#include "partition/partition_check.h"

namespace molink {
namespace {

Split split_in_order(const SplitProblem& problem, const std::vector<std::size_t>& order) {
    if (order.empty()) return {};
    return choose_split(problem, [&](const SearchPass& pass) {
        return search_order(pass, order, problem.required);
    });
}

Split split_in_any_order(const SplitProblem& problem) {
    OrderRules rules;
    for (std::size_t i = 0; i < problem.required.size(); ++i) {
        rules.usable |= 1u << i;
        if (problem.required[i]) rules.required |= 1u << i;
    }
    if (problem.input.pin_first) rules.pinned = 0;
    return choose_split(problem,
                        [&](const SearchPass& pass) { return search_orders(pass, rules); });
}

std::vector<std::size_t> given_order(const PartitionInput& input) {
    std::vector<std::size_t> order(input.nodes.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    return order;
}

Result<PartitionPlan> make_plan(const SplitProblem& problem, const Split& split,
                                std::vector<LeftOut> left_out) {
    PartitionPlan plan;
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
        PartitionInput input = asked;
        input.keep_all = input.fixed_order = true;
        MOLINK_RETURN_IF_ERROR(check_partition_input(input));
        SplitProblem problem(input);
        problem.even = true;
        const Split split = split_in_order(problem, given_order(input));
        if (split.stages.empty()) return explain_no_split(input);
        return make_plan(problem, split, {});
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
        const SplitProblem problem(input);
        SequenceValuer valuer(problem);
        Split split;
        if (input.fixed_order) {
            split = split_in_order(problem, given_order(input));
        } else if (orders_can_be_searched(input.nodes.size(), input.model.layers)) {
            split = split_in_any_order(problem);
        } else {
            split = split_in_order(problem, search_heuristic(problem, valuer));
        }
        if (split.stages.empty()) return explain_no_split(input);
        return make_plan(problem, split, explain_left_out(problem, split, valuer));
    }

private:
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
