// The exact search against brute force on random small clusters, and its refusals.
#include <molink/partitioner.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "base/random.h"
#include "partition/split_search.h"
#include "support/catch.h"

using namespace molink;

namespace {

PartitionInput random_input(Random& random) {
    PartitionInput input;
    input.model.layers = static_cast<std::int32_t>(1 + random.below(10));
    input.model.layer_bytes = static_cast<std::int64_t>(10 + random.below(50));
    input.model.embedding_bytes = static_cast<std::int64_t>(random.below(100));
    input.model.head_bytes = static_cast<std::int64_t>(random.below(100));
    input.model.workspace_bytes = static_cast<std::int64_t>(random.below(20));
    input.model.kv_layer_block_bytes = static_cast<std::int64_t>(1 + random.below(4));
    input.model.min_blocks = static_cast<std::int64_t>(random.below(6));
    const std::uint64_t nodes = 1 + random.below(4);
    for (std::uint64_t i = 0; i < nodes; ++i) {
        PartitionNode node;
        node.id = NodeId(static_cast<std::uint32_t>(i));
        node.name = "n" + std::to_string(i);
        node.memory_bytes = static_cast<std::int64_t>(100 + random.below(500));
        node.decode_layer_us = 1.0 + static_cast<double>(random.below(100));
        node.head_row_us = static_cast<double>(random.below(200));
        input.nodes.push_back(node);
    }
    return input;
}

/// Calls visit(ends) for every way to end each node's range.
void for_splits(const PartitionInput& input,
                const std::function<void(const std::vector<LayerRange>&)>& visit) {
    std::vector<LayerRange> ranges;
    const std::function<void(std::int32_t)> place = [&](std::int32_t begin) {
        if (ranges.size() == input.nodes.size()) {
            if (begin == input.model.layers) visit(ranges);
            return;
        }
        for (std::int32_t end = begin + 1; end <= input.model.layers; ++end) {
            ranges.push_back({begin, end});
            place(end);
            ranges.pop_back();
        }
    };
    place(0);
}

struct Best {
    double slowest = std::numeric_limits<double>::infinity();
    std::int64_t blocks = -1;  // of the roomiest split within 2 %
};

Best brute_force(const PartitionInput& input) {
    const auto permitted = [&](const std::vector<LayerRange>& ranges) {
        for (std::size_t i = 0; i < ranges.size(); ++i) {
            if (stage_kv_blocks(input, i, ranges[i]) < input.model.min_blocks) return false;
            if (input.nodes[i].fixed && !(*input.nodes[i].fixed == ranges[i])) return false;
        }
        return true;
    };
    const auto slowest = [&](const std::vector<LayerRange>& ranges) {
        double worst = 0;
        for (std::size_t i = 0; i < ranges.size(); ++i) {
            worst = std::max(worst, stage_decode_us(input, i, ranges[i]));
        }
        return worst;
    };
    Best best;
    for_splits(input, [&](const auto& ranges) {
        if (permitted(ranges)) best.slowest = std::min(best.slowest, slowest(ranges));
    });
    for_splits(input, [&](const auto& ranges) {
        if (!permitted(ranges) || slowest(ranges) > best.slowest * 1.02) return;
        std::int64_t blocks = std::numeric_limits<std::int64_t>::max();
        for (std::size_t i = 0; i < ranges.size(); ++i) {
            blocks = std::min(blocks, stage_kv_blocks(input, i, ranges[i]));
        }
        best.blocks = std::max(best.blocks, blocks);
    });
    return best;
}

}  // namespace

TEST_CASE("the cost partitioner equals brute force") {
    int solved = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        Random random(seed);
        PartitionInput input = random_input(random);
        if (seed % 5 == 0) input.nodes[0].fixed = LayerRange{0, 1};
        const Best best = brute_force(input);
        const auto plan = make_cost_partitioner()->partition(input);
        INFO("seed " << seed << " " << plan.status().to_string());
        REQUIRE(plan.has_value() == (best.blocks >= 0));
        if (!plan) continue;
        ++solved;
        REQUIRE(check_partition(input, *plan).ok());
        REQUIRE(plan->slowest_us <= best.slowest * 1.02 + 1e-9);
        REQUIRE(plan->kv_blocks == best.blocks);
    }
    REQUIRE(solved > 300);
}

TEST_CASE("a slower node gets fewer layers") {
    PartitionInput input;
    input.model.layers = 12;
    input.model.layer_bytes = 1;
    input.model.kv_layer_block_bytes = 1;
    for (std::uint32_t i = 0; i < 2; ++i) {
        PartitionNode node;
        node.id = NodeId(i);
        node.memory_bytes = 1'000'000;
        node.decode_layer_us = i == 0 ? 100 : 200;
        input.nodes.push_back(node);
    }
    const auto cost = make_cost_partitioner()->partition(input);
    REQUIRE(cost.has_value());
    REQUIRE(cost->stages[0].layers == LayerRange{0, 8});
    const auto even = make_even_partitioner()->partition(input);
    REQUIRE(even.has_value());
    REQUIRE(even->stages[0].layers == LayerRange{0, 6});
}

TEST_CASE("what does not fit is refused with the numbers") {
    Random random(2);
    PartitionInput input = random_input(random);
    input.model.layers = 8;
    input.model.layer_bytes = 1 << 20;
    const auto small = make_cost_partitioner()->partition(input);
    REQUIRE(small.status().code() == StatusCode::resource_exhausted);
    REQUIRE(small.status().message().find("no split of 8 layers") != std::string::npos);

    input.nodes.resize(2, input.nodes[0]);
    for (PartitionNode& node : input.nodes) node.memory_bytes = 1 << 30;
    input.nodes[0].fixed = LayerRange{0, 5};
    input.nodes[1].fixed = LayerRange{4, 8};
    const auto overlap = make_cost_partitioner()->partition(input);
    REQUIRE(overlap.status().code() == StatusCode::invalid_argument);
    REQUIRE(overlap.status().message().find("overlap") != std::string::npos);
    input.nodes[1].fixed = LayerRange{5, 9};
    REQUIRE(make_cost_partitioner()->partition(input).status().code() ==
            StatusCode::invalid_argument);
    input.model.layers = 1;
    REQUIRE(make_cost_partitioner()->partition(input).status().message().find("at least one") !=
            std::string::npos);
}

TEST_CASE("a plan that contradicts its input is refused") {
    Random random(8);
    PartitionInput input;
    Result<PartitionPlan> plan = Status(StatusCode::internal, "none yet");
    while (!plan || plan->stages.size() < 2) {
        input = random_input(random);
        plan = make_cost_partitioner()->partition(input);
    }
    PartitionPlan gap = *plan;
    gap.stages[0].layers.begin = 1;
    REQUIRE_FALSE(check_partition(input, gap).ok());
    PartitionPlan shorter = *plan;
    shorter.stages.pop_back();
    REQUIRE_FALSE(check_partition(input, shorter).ok());
    PartitionPlan stranger = *plan;
    stranger.stages[1].node = NodeId(99);
    REQUIRE_FALSE(check_partition(input, stranger).ok());
}
