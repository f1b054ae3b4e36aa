// The built-in partitioners: what moves a plan, nodes left out and the reasons given, refusals,
// checks and predictions.
#include <molink/partitioner.h>

#include <limits>

#include "partition_samples.h"
#include "support/catch.h"

using namespace molink;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Returns two nodes and a workload without prompts.
PartitionInput two_nodes() {
    PartitionInput input;
    input.workload.prompt_tokens = 0;
    input.model.layers.assign(12, {.weight_bytes = 1, .kv_block_bytes = 1});
    for (std::uint32_t i = 0; i < 2; ++i) {
        PartitionNode node;
        node.id = NodeId(i);
        node.name = i == 0 ? "a" : "b";
        node.memory_bytes = 1'000'000;
        node.decode_layer_us = i == 0 ? 100 : 200;
        input.nodes.push_back(node);
    }
    return input;
}

void set_layers(PartitionInput& input, std::size_t count) {
    input.model.layers.resize(count, input.model.layers.front());
}

std::string message_of(const PartitionInput& input) {
    return make_cost_partitioner()->partition(input).status().message();
}

bool says(const std::string& text, const std::string& words) {
    INFO(text);
    CHECK(text.find(words) != std::string::npos);
    return text.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("the LM head goes to the first stage when that is better") {
    PartitionInput input = two_nodes();
    input.pin_first = true;
    input.model.tied_embeddings = true;
    input.model.activation_row_bytes = 4000;
    input.nodes[1].decode_layer_us = 100;
    input.nodes[0].lm_head_row_us = 100;
    input.nodes[1].lm_head_row_us = 1000;
    const auto plan_of = [&](LmHead place) {
        input.lm_head = place;
        auto plan = make_cost_partitioner()->partition(input);
        INFO(plan.status().to_string());
        REQUIRE(plan.has_value());
        REQUIRE(check_partition(input, *plan).to_string() == Status().to_string());
        return *plan;
    };
    const PartitionPlan first = plan_of(LmHead::automatic);
    REQUIRE(first.lm_head_first);
    REQUIRE(first.stages[0].has_lm_head);
    REQUIRE_FALSE(first.stages[1].has_lm_head);
    REQUIRE(first.slowest_us < plan_of(LmHead::last).slowest_us);
    // A slow link back speaks against the first stage. A single node needs no such link.
    input.links.push_back({NodeId(1), NodeId(0), {1e6, 1000, 0}});
    REQUIRE_FALSE(plan_of(LmHead::automatic).lm_head_first);
    REQUIRE(plan_of(LmHead::first).stages.size() == 1);
    input.keep_all = true;
    const PartitionPlan asked = plan_of(LmHead::first);
    REQUIRE(asked.lm_head_first);
    REQUIRE(asked.slowest_us == 4000 * planned_rows(input) * (1 + 1.0 / 128));
    REQUIRE(asked.stages[1].link_us == 4000);
    REQUIRE(asked.stages[1].link_slice_us == 4000);
    REQUIRE(asked.predicted.limit_text == "link 'b' -> 'a'");
    input.links.clear();
    input.nodes[1].lm_head_row_us = 100;
    REQUIRE_FALSE(plan_of(LmHead::automatic).lm_head_first);  // the last stage, when both are equal
    const auto even = make_even_partitioner()->partition(input);
    REQUIRE_FALSE(even->lm_head_first);
}

TEST_CASE("the place of the LM head is checked") {
    PartitionInput input = two_nodes();
    input.lm_head = LmHead::first;
    REQUIRE(says(message_of(input), "the model's embeddings are not tied"));
    input.model.tied_embeddings = true;
    auto plan = make_even_partitioner()->partition(input);
    REQUIRE(plan.has_value());
    REQUIRE(plan->lm_head_first);
    REQUIRE(check_partition(input, *plan).ok());
    input.lm_head = LmHead::last;
    REQUIRE(says(check_partition(input, *plan).message(), "the input demands the last one"));
    input.lm_head = LmHead::automatic;
    plan->stages[0].has_lm_head = false;
    REQUIRE(says(check_partition(input, *plan).message(),
                 "the embedding or the LM head in the wrong place"));
    plan->stages[0].has_lm_head = true;
    input.model.tied_embeddings = false;
    REQUIRE(says(check_partition(input, *plan).message(), "the embeddings are not tied"));
}

TEST_CASE("expensive layers count more than cheap ones") {
    PartitionInput input = two_nodes();
    input.nodes[1].decode_layer_us = 100;
    for (std::size_t i = 0; i < 3; ++i) input.model.layers[i].decode_cost = 4;
    auto plan = make_cost_partitioner()->partition(input);
    REQUIRE(plan.has_value());
    // 3 layers of 400 us on one node and 9 of 100 us on the other.
    REQUIRE(plan->slowest_us == 1200);
    REQUIRE(plan->stages[0].layers == LayerRange{0, 3});
    // With the state of many sequences the three layers do not fit on one node.
    for (std::size_t i = 0; i < 3; ++i) input.model.layers[i].state_bytes = 1000;
    input.model.max_sequences = 400;
    input.nodes[0].memory_bytes = 900'000;
    plan = make_cost_partitioner()->partition(input);
    REQUIRE(plan.has_value());
    REQUIRE(plan->stages[0].layers.size() < 3);
    REQUIRE(plan->stages[0].state_bytes == plan->stages[0].layers.size() * 400'000);
}

TEST_CASE("layers with a sliding window leave room for the KV blocks of others") {
    PartitionInput input = two_nodes();
    input.nodes[1].decode_layer_us = 100;
    input.model.min_blocks = 1'000;
    input.model.max_blocks = 1'000'000;
    input.model.max_sequences = 10;
    for (PartitionLayer& layer : input.model.layers) layer.kv_block_bytes = 100;
    input.nodes[0].memory_bytes = input.nodes[1].memory_bytes = 605'000;
    const auto alike = make_cost_partitioner()->partition(input);
    REQUIRE(alike.has_value());
    REQUIRE(alike->stages[0].layers == LayerRange{0, 6});
    REQUIRE(alike->kv_blocks == 604'994 / 600);
    // Four of five layers keep a window of 16 blocks for each sequence and use no KV blocks.
    for (std::size_t i = 0; i < input.model.layers.size(); ++i) {
        if (i % 5 == 4) continue;
        input.model.layers[i].kv_block_bytes = 0;
        input.model.layers[i].state_bytes = 1'600;
    }
    const auto windows = make_cost_partitioner()->partition(input);
    REQUIRE(windows.has_value());
    REQUIRE(check_partition(input, *windows).ok());
    REQUIRE(windows->stages[0].layers == LayerRange{0, 6});
    REQUIRE(windows->stages[0].kv_block_bytes == 100);
    REQUIRE(windows->stages[0].state_bytes == 5 * 16'000);
    REQUIRE(windows->kv_blocks == (605'000 - 6 - 5 * 16'000) / 100);
    // A node with little memory has room for four windows, or for KV blocks and one window.
    input.nodes[0].memory_bytes = 130'000;
    const auto tight = make_cost_partitioner()->partition(input);
    REQUIRE(tight.has_value());
    REQUIRE(check_partition(input, *tight).ok());
    REQUIRE(tight->stages[0].node == NodeId(0));
    REQUIRE(tight->stages[0].layers == LayerRange{0, 4});
    REQUIRE(tight->slowest_us == 800);
}

TEST_CASE("a slower node gets fewer layers") {
    const PartitionInput input = two_nodes();
    const auto cost = make_cost_partitioner()->partition(input);
    REQUIRE(cost.has_value());
    REQUIRE(cost->slowest_us == 800);
    REQUIRE(cost->left_out.empty());
    const auto even = make_even_partitioner()->partition(input);
    REQUIRE(even.has_value());
    REQUIRE(even->stages[0].layers == LayerRange{0, 6});
}

TEST_CASE("long prompts make the LM head count less, as they need it only once") {
    PartitionInput input = two_nodes();
    for (PartitionNode& node : input.nodes) {
        node.decode_layer_us = 100;
        node.decode_row_layer_us = 10;
        node.prefill_row_layer_us = 10;
        node.lm_head_row_us = 380;
    }
    input.workload.running = 2;
    const auto split = [&](std::int32_t prompt_tokens) {
        input.workload.prompt_tokens = prompt_tokens;
        const auto plan = make_cost_partitioner()->partition(input);
        REQUIRE(plan.has_value());
        REQUIRE(check_partition(input, *plan).ok());
        return std::pair(plan->stages[0].layers.size(), plan->slowest_us);
    };
    REQUIRE(split(0) == std::pair(8, 800.0));
    // With each token come 4 rows of prompts, which add 40 us per layer to the 100. The LM head
    // costs as much as 2.7 layers.
    REQUIRE(split(512) == std::pair(7, 5 * 140 + 380.0));
    // With 100 rows the LM head costs as much as a third of a layer.
    REQUIRE(split(12'800) == std::pair(6, 6 * 1100 + 380.0));
}

TEST_CASE("nodes that would slow the pipeline are left out, and the plan says why") {
    PartitionInput input = two_nodes();
    input.pin_first = true;
    input.nodes[1].decode_layer_us = 31'000;
    const auto reason = [&] {
        const auto plan = make_cost_partitioner()->partition(input);
        INFO(plan.status().to_string());
        REQUIRE(plan.has_value());
        REQUIRE(plan->left_out.size() == 1);
        REQUIRE(plan->left_out[0].node == input.nodes[1].id);
        return plan->left_out[0].reason;
    };
    REQUIRE(reason() == "with it the slowest stage takes 31.0 ms instead of 1.2 ms");
    input.nodes[1].decode_layer_us = 100;
    input.model.activation_row_bytes = 1000;
    input.workload.running = 2;
    input.links.push_back({NodeId(0), NodeId(1), {10'000, 0, 0}});
    REQUIRE(reason() == "with it the slowest link takes 100.0 ms instead of 1.2 ms");
    input.links[0].model = {0, 20'000, 0};
    input.objective = PartitionObjective::latency;
    REQUIRE(reason() == "with it a token takes 21.2 ms round the ring instead of 1.2 ms");
    input.nodes[1].memory_bytes = 0;
    REQUIRE(says(reason(), "its memory is too small: a stage of one layer needs 1 bytes"));

    input = two_nodes();
    set_layers(input, 100);
    input.model.min_blocks = 1;
    input.nodes[1].memory_bytes = 3;  // one layer and two KV blocks
    REQUIRE(reason() == "with it the smallest stage holds 2 KV blocks instead of 9999");
    input.keep_all = true;
    REQUIRE(make_cost_partitioner()->partition(input)->stages.size() == 2);
}

TEST_CASE("a distant node that gains nothing is left out, and one that costs little is kept") {
    PartitionInput input = two_nodes();
    input.model.max_blocks = 10;
    PartitionNode third = input.nodes[1];
    third.id = NodeId(2);
    third.name = "c";
    input.nodes.push_back(third);
    set_layers(input, 3);
    for (PartitionNode& node : input.nodes) node.decode_layer_us = 100;
    input.nodes[0].fixed = LayerRange{0, 2};
    input.pin_first = true;
    const auto near = make_cost_partitioner()->partition(input);
    REQUIRE(near->stages.size() == 2);
    REQUIRE(says(near->left_out[0].reason, "no split of 3 layers over 3 nodes fits"));
    set_layers(input, 4);
    REQUIRE(make_cost_partitioner()->partition(input)->stages.size() == 3);
    for (NodeId other : {NodeId(0), NodeId(1)}) {
        input.links.push_back({other, NodeId(2), {0, 200'000, 0}});
        input.links.push_back({NodeId(2), other, {0, 200'000, 0}});
    }
    const auto far = make_cost_partitioner()->partition(input);
    REQUIRE(far->stages.size() == 2);
    REQUIRE(says(far->left_out[0].reason, "round the ring instead of 0.4 ms"));
}

TEST_CASE("a fixed order is kept, and a free order follows the links") {
    PartitionInput input = test::site_input(5, 8, 24);
    input.pin_first = true;
    const auto crossings = [&](const PartitionPlan& plan) {
        int count = 0;
        for (std::size_t i = 0; i + 1 < plan.stages.size(); ++i) {
            count += plan.stages[i].node.value % 2 != plan.stages[i + 1].node.value % 2;
        }
        return count;
    };
    const auto free_plan = make_cost_partitioner()->partition(input);
    REQUIRE(free_plan->stages.front().node == NodeId(0));
    REQUIRE(crossings(*free_plan) <= 2);
    input.fixed_order = input.keep_all = true;
    const auto kept = make_cost_partitioner()->partition(input);
    REQUIRE(kept->stages.size() == 8);
    REQUIRE(crossings(*kept) == 7);
}

TEST_CASE("an input that does not fit or contradicts itself is refused with the numbers") {
    PartitionInput input = two_nodes();
    for (PartitionLayer& layer : input.model.layers) layer.weight_bytes = 1 << 20;
    const Status small = make_cost_partitioner()->partition(input).status();
    REQUIRE(small.code() == StatusCode::resource_exhausted);
    REQUIRE(says(small.message(), "no split of 12 layers"));
    REQUIRE(make_even_partitioner()->partition(input).status().code() ==
            StatusCode::resource_exhausted);

    input = two_nodes();
    input.nodes[0].fixed = LayerRange{0, 5};
    input.nodes[1].fixed = LayerRange{4, 12};
    REQUIRE(says(message_of(input), "layers 4-11 asked for by 'b' overlap layers 0-4 of 'a'"));
    input.nodes[1].fixed = LayerRange{5, 13};
    REQUIRE(says(message_of(input), "not within the model's 0-11"));
    input.nodes[0].fixed = LayerRange{5, 12};
    input.nodes[1].fixed = LayerRange{0, 5};
    REQUIRE(make_cost_partitioner()->partition(input).has_value());
    input.pin_first = true;
    REQUIRE(says(message_of(input), "'a' must hold the first stage"));
    input.pin_first = false;
    input.fixed_order = true;
    REQUIRE(says(message_of(input), "which stands before it in the order"));

    input = two_nodes();
    set_layers(input, 1);
    input.keep_all = true;
    REQUIRE(says(message_of(input), "split of 1 layers over 2 nodes that may not be left out"));
    input.nodes[1].id = NodeId(0);
    set_layers(input, 2);
    REQUIRE(says(message_of(input), "nodes 'a' and 'b' both have the id 0"));
    input = two_nodes();
    input.nodes[1].lm_head_row_us = -1;
    REQUIRE(says(message_of(input), "node 'b' gives a time of -1"));
    input = two_nodes();
    input.model.layers[3].kv_block_bytes = -5;
    REQUIRE(says(message_of(input), "layer 3 has 1 bytes of weights, -5 per KV block"));
    input.model.layers[3] = {.weight_bytes = 1, .decode_cost = kInfinity};
    REQUIRE(says(message_of(input), "layer 3 costs inf times the measured layer"));
    input.model.layers[3] = {.weight_bytes = 1, .state_bytes = 10};
    REQUIRE(says(message_of(input), "layer 3 keeps 10 bytes of state for each of 0 sequences"));
    input.model.max_sequences = 1 << 30;
    input.model.layers[3].state_bytes = std::int64_t{1} << 40;
    REQUIRE(says(message_of(input), "for each of 1073741824 sequences"));
    input.nodes.clear();
    REQUIRE(says(message_of(input), "split over 0 nodes"));
}

TEST_CASE("a plan that contradicts its input is refused") {
    PartitionInput input = two_nodes();
    input.fixed_order = input.pin_first = input.keep_all = true;
    const auto made = make_cost_partitioner()->partition(input);
    REQUIRE(made.has_value());
    const auto refused = [&](const char* words, auto&& change) {
        PartitionPlan plan = *made;
        change(plan);
        return says(check_partition(input, plan).message(), words);
    };
    REQUIRE(refused("at least one", [](auto& plan) { plan.stages[0].layers.begin = 1; }));
    REQUIRE(refused("leaves out 'b'", [](auto& plan) { plan.stages.pop_back(); }));
    REQUIRE(refused("unknown", [](auto& plan) { plan.stages[1].node = NodeId(99); }));
    REQUIRE(refused("two stages", [](auto& plan) { plan.stages[1].node = NodeId(0); }));
    REQUIRE(refused("embedding", [](auto& plan) { plan.stages[0].has_embedding = false; }));
    REQUIRE(refused("'a' must hold it",
                    [](auto& plan) { std::swap(plan.stages[0].node, plan.stages[1].node); }));
    input.pin_first = false;
    REQUIRE(refused("the order is fixed",
                    [](auto& plan) { std::swap(plan.stages[0].node, plan.stages[1].node); }));
    input.nodes[1].fixed = LayerRange{6, 12};
    REQUIRE(refused("its override demands 6-11", [](auto&) {}));
}

TEST_CASE("the figures and the prediction of a plan follow from nodes and layers") {
    PartitionInput input = two_nodes();
    input.model.activation_row_bytes = 1000;
    input.model.block_tokens = 16;
    input.model.max_blocks = 1000;
    input.workload = {4, 100, 60, 50};
    for (PartitionNode& node : input.nodes) {
        node.decode_layer_us = 100;
        node.prefill_row_layer_us = 10;
    }
    input.links = {{NodeId(0), NodeId(1), {1e6, 2000, 0}}, {NodeId(1), NodeId(0), {0, 2000, 0}}};
    PartitionPlan plan;
    plan.stages = {{.node = NodeId(0), .layers = {0, 6}}, {.node = NodeId(1), .layers = {6, 12}}};
    REQUIRE(complete_partition(input, plan).ok());
    REQUIRE(check_partition(input, plan).ok());
    REQUIRE(plan.stages[0].has_embedding);
    REQUIRE(plan.stages[1].has_lm_head);
    REQUIRE(plan.stages[0].decode_us == 600);
    REQUIRE(plan.stages[0].link_us == 1000);
    REQUIRE(plan.stages[0].link_delay_us == 2000);
    REQUIRE(plan.predicted.ring_us == 600 + 1000 + 2000 + 600 + 2000);
    // Two slices of 50 rows: 3 ms on each stage and 50 ms on the link, which is the slowest.
    REQUIRE(plan.predicted.ttft_us == 3000 + 50'000 + 2000 + 3000 + 2000 + 50'000);
    REQUIRE(plan.predicted.running == 4);
    // The ring takes 6.2 ms for one row and 7.32 ms for two. The link takes 4 ms per cycle for all
    // four.
    REQUIRE(plan.predicted.micro_batches == 4);
    REQUIRE(plan.predicted.tpot_us == 6200);
    REQUIRE(plan.predicted.limit == PartitionLimit::latency);
    input.workload.running = 16;
    REQUIRE(complete_partition(input, plan).ok());
    REQUIRE(plan.predicted.limit == PartitionLimit::link);
    REQUIRE(plan.predicted.limit_text == "link 'a' -> 'b'");
    REQUIRE(plan.predicted.tokens_per_s == Approx(1000));
    input.model.max_blocks = 20;  // two sequences of ten blocks
    REQUIRE(complete_partition(input, plan).ok());
    REQUIRE(plan.predicted.limit == PartitionLimit::kv);
    REQUIRE(plan.predicted.running == 2);
    plan.stages.pop_back();
    REQUIRE(complete_partition(input, plan).ok());
    REQUIRE(plan.left_out.size() == 1);
    plan.stages[0].layers = {0, 13};
    REQUIRE(says(complete_partition(input, plan).message(),
                 "gives layers 0-12 to 'a'; the model has 0-11"));
    plan.stages[0].layers = {3, 2};
    REQUIRE_FALSE(complete_partition(input, plan).ok());
    plan.stages[0].node = NodeId(7);
    REQUIRE_FALSE(complete_partition(input, plan).ok());
}

TEST_CASE("partitioners and objectives have names") {
    REQUIRE((*make_partitioner("even"))->name() == "even");
    REQUIRE((*make_partitioner("cost"))->name() == "cost");
    REQUIRE(says(make_partitioner("best").status().message(),
                 "partitioner 'best'; even and cost are permitted"));
    REQUIRE(*parse_partition_objective("latency") == PartitionObjective::latency);
    REQUIRE(says(parse_partition_objective("speed").status().message(),
                 "objective 'speed'; throughput and latency are permitted"));
    PartitionInput input = two_nodes();
    const auto latency = make_partitioner("cost", {PartitionObjective::latency});
    REQUIRE((*latency)->partition(input)->stages.size() == 1);
}
