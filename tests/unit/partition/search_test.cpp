// The searches of the cost partitioner. The exact search is compared with brute force on random
// small clusters, the value of a sequence with the search, the heuristic with the exact search, and
// plans with recorded ones.
#include <algorithm>
#include <limits>
#include <optional>

#include <molink/partitioner.h>

#include "base/limits.h"
#include "partition/order_search.h"
#include "partition_samples.h"
#include "recorded_plans.h"
#include "support/catch.h"

using namespace molink;
using test::PlanWorth;

namespace {

constexpr double kTolerance = 1.02;

template <typename Key>
double least(const std::vector<PlanWorth>& plans, const Key& key) {
    double best = kInfinity;
    for (const PlanWorth& plan : plans) best = std::min(best, key(plan));
    return best;
}

bool close(double a, double b) {
    return std::abs(a - b) <= 1e-6 * std::max({1.0, std::abs(a), std::abs(b)});
}

/// Checks what make_cost_partitioner promises for throughput against the list of all plans.
void check_throughput(const PartitionInput& input, const std::vector<PlanWorth>& all,
                      const PartitionPlan& plan) {
    const double bound = least(all, [](const PlanWorth& p) { return p.slowest_us; }) * kTolerance;
    std::vector<PlanWorth> fast;
    std::int64_t blocks = 0;
    for (const PlanWorth& p : all) {
        if (p.slowest_us > bound + 1e-9) continue;
        fast.push_back(p);
        blocks = std::max(blocks, p.kv_blocks);
    }
    std::erase_if(fast, [&](const PlanWorth& p) { return p.kv_blocks < blocks; });
    REQUIRE(plan.slowest_us <= bound + 1e-6);
    REQUIRE(plan.kv_blocks == blocks);
    const double shortest = least(fast, [](const PlanWorth& p) { return p.ring_us; });
    const double bonus = std::max(shortest * 0.1 / static_cast<double>(input.nodes.size()), 1e-6);
    const double best = least(
        fast, [&](const PlanWorth& p) { return p.ring_us - bonus * static_cast<double>(p.nodes); });
    REQUIRE(close(plan.predicted.ring_us - bonus * static_cast<double>(plan.stages.size()), best));
}

std::vector<std::size_t> own_order(const PartitionInput& input) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < input.nodes.size(); ++i) order.push_back(i);
    return order;
}

/// Requires that the value of the nodes in their own order equals that of the search. Returns
/// nothing when no split fits.
std::optional<SequenceValue> checked_value(const SplitProblem& problem, SequenceValuer& valuer) {
    const std::vector<std::size_t> order = own_order(problem.input);
    const SequenceValue value = valuer.value(order);
    const bool latency = problem.input.objective == PartitionObjective::latency;
    const Split split =
        search_order(latency ? ring_pass(problem) : slowest_pass(problem), order, problem.required);
    REQUIRE((value.deficit == 0) == !split.stages.empty());
    if (split.stages.empty()) return std::nullopt;
    REQUIRE(close(value.main_us, split.value));
    return value;
}

}  // namespace

TEST_CASE("the cost partitioner equals brute force") {
    for (const bool differ : {false, true}) {
        int solved = 0;
        for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
            PartitionInput input = test::random_partition_input(seed);
            if (differ) test::make_layers_differ(input, seed);
            const auto plan = make_cost_partitioner()->partition(input);
            INFO("seed " << seed << (differ ? " differ " : " ") << plan.status().to_string());
            const std::vector<PlanWorth> all = test::every_plan(input);
            REQUIRE(plan.has_value() == !all.empty());
            if (!plan) continue;
            ++solved;
            REQUIRE(check_partition(input, *plan).to_string() == Status().to_string());
            REQUIRE(plan->stages.size() + plan->left_out.size() == input.nodes.size());
            if (input.objective == PartitionObjective::latency) {
                REQUIRE(close(plan->predicted.ring_us,
                              least(all, [](const PlanWorth& p) { return p.ring_us; })));
            } else {
                check_throughput(input, all, *plan);
            }
        }
        INFO(solved << " of 2000 have a plan");
        REQUIRE(solved > 1000);
    }
}

TEST_CASE("plans for layers that are alike equal the recorded ones, bit for bit") {
    for (const test::RecordedPlan& recorded : test::recorded_plans()) {
        const PartitionInput input = recorded.site ? test::mixed_site_input(recorded.seed)
                                                   : test::random_partition_input(recorded.seed);
        const auto plan = make_cost_partitioner()->partition(input);
        INFO((recorded.site ? "site " : "random ") << recorded.seed << plan.status().to_string());
        REQUIRE(plan.has_value());
        std::string stages;
        for (const StagePlan& stage : plan->stages) {
            stages += (stages.empty() ? "" : " ") + std::to_string(stage.node.value) + ":" +
                      std::to_string(stage.layers.begin) + "-" + std::to_string(stage.layers.end);
        }
        CHECK(stages == recorded.stages);
        CHECK(plan->lm_head_first == recorded.lm_head_first);
        CHECK(plan->kv_blocks == recorded.kv_blocks);
        CHECK(plan->slowest_us == recorded.slowest_us);
        CHECK(plan->predicted.ring_us == recorded.ring_us);
        CHECK(plan->predicted.ttft_us == recorded.ttft_us);
    }
}

TEST_CASE("the value of a sequence of nodes equals that of the search in this order") {
    for (const bool differ : {false, true}) {
        int compared = 0;
        for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
            PartitionInput input = test::random_partition_input(seed);
            if (differ) test::make_layers_differ(input, seed);
            input.keep_all = true;
            input.pin_first = false;
            if (input.model.layers.size() < input.nodes.size()) continue;
            INFO("seed " << seed << (differ ? " differ" : ""));
            const SplitProblem problem(input);
            SequenceValuer valuer(problem);
            const auto value = checked_value(problem, valuer);
            if (!value) continue;
            ++compared;
            const std::vector<std::size_t> order = own_order(input);
            REQUIRE(valuer.value(order, value->main_us).main_us == value->main_us);
            const double below = value->main_us * 0.999 - 1e-3;
            REQUIRE(valuer.value(order, below).main_us > below);
        }
        REQUIRE(compared > 500);
    }
}

TEST_CASE("the value of a long sequence with layers that differ equals that of the search") {
    int compared = 0;
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        PartitionInput input = test::mixed_site_input(seed);
        test::make_layers_differ(input, seed);
        input.keep_all = true;
        for (PartitionNode& node : input.nodes) node.memory_bytes *= 3;
        INFO("seed " << seed);
        const SplitProblem problem(input);
        SequenceValuer valuer(problem);
        if (checked_value(problem, valuer)) ++compared;
    }
    REQUIRE(compared > 50);
}

TEST_CASE("layers that are alike and layers that differ are valued by the same rule") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        PartitionInput input = test::mixed_site_input(seed);
        if (input.nodes.size() > input.model.layers.size()) continue;
        const SplitProblem problem(input);
        SequenceValuer valuer(problem);
        GapSearch search(problem);
        const std::vector<std::size_t> order = own_order(input);
        for (PartitionNode& node : input.nodes) node.fixed.reset();
        const SequenceValue dealt = valuer.value(order);
        const GapValue searched = search.search({0, input.model.layer_count()}, order, kInfinity);
        INFO("seed " << seed);
        REQUIRE(dealt.deficit == searched.deficit);
        if (dealt.deficit > 0 || dealt.by_link) continue;
        const bool latency = input.objective == PartitionObjective::latency;
        REQUIRE(close(dealt.main_us, searched.main_us + (latency ? dealt.ring_us : 0)));
    }
}

TEST_CASE("the heuristic comes close to the exact search and is bounded") {
    double worst = 1;
    double sum = 0;
    int cases = 0;
    for (auto objective : {PartitionObjective::throughput, PartitionObjective::latency}) {
        for (std::uint64_t seed = 1; seed <= 20; ++seed) {
            PartitionInput input = test::site_input(seed, 8, 24);
            input.objective = objective;
            input.pin_first = seed % 2 == 0;
            const SplitProblem problem(input);
            SequenceValuer valuer(problem);
            const auto order = search_heuristic(problem, valuer);
            REQUIRE(valuer.count() <= limits::kMaxOrdersTried);
            OrderRules rules{.usable = 0xff, .pinned = {}};
            if (input.pin_first) rules.required = 1;
            if (input.pin_first) rules.pinned = 0;
            const bool latency = objective == PartitionObjective::latency;
            const Split exact =
                search_orders(latency ? ring_pass(problem) : slowest_pass(problem), rules);
            // The second round accepts a slowest stage that is up to 2 % slower for a shorter ring.
            const double best = latency ? exact.value : exact.value * kTolerance;
            const double found = std::max(valuer.value(order).main_us, best);
            worst = std::max(worst, found / best);
            sum += found / best;
            ++cases;
        }
    }
    INFO("worst " << worst << " mean " << sum / cases);
    REQUIRE(worst < 1.05);
    REQUIRE(sum / cases < 1.01);
}

TEST_CASE("64 nodes and 128 layers need a bounded number of orders") {
    for (auto objective : {PartitionObjective::throughput, PartitionObjective::latency}) {
        PartitionInput input = test::site_input(3, 64, 128);
        input.objective = objective;
        input.model.tied_embeddings = true;
        const SplitProblem problem(input);
        SequenceValuer valuer(problem);
        REQUIRE_FALSE(search_heuristic(problem, valuer).empty());
        REQUIRE(valuer.count() <= limits::kMaxOrdersTried);
        const auto plan = make_cost_partitioner()->partition(input);
        REQUIRE(plan.has_value());
        REQUIRE(check_partition(input, *plan).ok());
        const auto again = make_cost_partitioner()->partition(input);
        REQUIRE(again->predicted.ring_us == plan->predicted.ring_us);
        PartitionInput given = input;
        given.fixed_order = true;
        const auto in_order = make_cost_partitioner()->partition(given);
        REQUIRE(in_order.has_value());
        if (objective == PartitionObjective::latency) {
            REQUIRE(plan->predicted.ring_us <= in_order->predicted.ring_us);
        } else {
            REQUIRE(plan->slowest_us <= in_order->slowest_us * kTolerance);
        }
    }
}

TEST_CASE("many nodes share layers that differ within a bounded number of orders") {
    for (auto objective : {PartitionObjective::throughput, PartitionObjective::latency}) {
        PartitionInput input = test::site_input(3, 24, 60);
        test::make_layers_differ(input, 5);
        input.objective = objective;
        input.model.tied_embeddings = true;
        const auto plan = make_cost_partitioner()->partition(input);
        INFO(plan.status().to_string());
        REQUIRE(plan.has_value());
        REQUIRE(check_partition(input, *plan).ok());
        input.fixed_order = true;
        const auto in_order = make_cost_partitioner()->partition(input);
        REQUIRE(in_order.has_value());
        if (objective == PartitionObjective::latency) {
            REQUIRE(plan->predicted.ring_us <= in_order->predicted.ring_us);
        } else {
            REQUIRE(plan->slowest_us <= in_order->slowest_us * kTolerance);
        }
    }
}
