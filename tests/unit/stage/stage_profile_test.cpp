// Compares service times from rooflines and tables with sums done by hand.
#include "stage/stage_profile.h"

#include <algorithm>

#include "support/catch.h"

using namespace molink;

namespace {

DeviceProfile device() {
    DeviceProfile device;
    device.memory_gb_per_s = 100;  // 1e5 bytes per us
    device.tflops = 1;             // 1e6 operations per us
    device.memory_efficiency = 0.5;
    device.compute_efficiency = 0.25;
    device.launch_us = 7;
    return device;
}

/// Returns the cost of `layers` layers of 1 MB, with cheap positions, and an LM head of 5 MB.
StageCost cost(std::size_t layers = 3) {
    LayerCost layer;
    layer.weight_bytes = 1e6;
    layer.row_flops = 1e6;
    layer.position_bytes = 1e3;
    layer.position_flops = 2e3;
    StageCost cost;
    cost.layers.assign(layers, layer);
    cost.lm_head_bytes = 5e6;
    cost.lm_head_row_flops = 1e5;
    return cost;
}

/// Returns a part of decode rows that attend to one position each.
PartLoad decode_rows(std::int32_t rows) {
    PartLoad load;
    load.runs.assign(static_cast<std::size_t>(rows), {0, 1});
    load.sampled = rows;
    return load;
}

}  // namespace

TEST_CASE("a roofline is the larger of reading and computing") {
    const StageProfile profile(device(), cost());
    const auto layer_us = [&](const PartLoad& load) {
        return profile.layer_us(PartKind::decode, load, 0);
    };
    // Reads 1e6 bytes of weights and 1e3 of the cache at 5e4 per us. Computes 1.002e6 operations at
    // 2.5e5 per us.
    CHECK(layer_us(decode_rows(1)) == Approx(7 + 20.02));
    CHECK(layer_us({{{499, 1}}, 1}) == Approx(7 + 30));
    CHECK(layer_us(decode_rows(100)) == Approx(7 + 400.8));
    // A slice of 100 rows attends to 5,050 positions.
    CHECK(profile.layer_us(PartKind::prefill, {{{0, 100}}, 0}, 2) == Approx(7 + 440.4));
    CHECK(profile.lm_head_us(0) == 0);
    CHECK(profile.lm_head_us(1) == Approx(7 + 100));
    CHECK(profile.lm_head_us(1000) == Approx(7 + 400));
    CHECK(profile.part_us(PartKind::decode, decode_rows(1), {0, 3}, false) == Approx(3 * 27.02));
    CHECK(profile.part_us(PartKind::decode, decode_rows(1), {1, 3}, true) ==
          Approx(2 * 27.02 + 107));
    CHECK(profile.part_us(PartKind::prefill, {{{0, 1}}, 0}, {0, 3}, true) == Approx(3 * 27.02));
    CHECK(profile.part_us(PartKind::decode, decode_rows(2), {}, true) == Approx(107));
}

TEST_CASE("a part attends to the positions before its rows, within the window of a layer") {
    const PartLoad load{{{10, 4}, {0, 3}, {2, 1}}, 0};
    CHECK(load.rows() == 8);
    // The three runs attend to 11 + 12 + 13 + 14, 1 + 2 + 3 and 3 positions.
    CHECK(load.attended(0) == 50 + 6 + 3);
    CHECK(load.cached(0) == 14 + 3 + 3);
    CHECK(load.attended(12) == 11 + 12 + 12 + 12 + 6 + 3);
    CHECK(load.cached(12) == 14 + 3 + 3);
    CHECK(load.attended(2) == 4 * 2 + (1 + 2 + 2) + 2);
    CHECK(load.cached(2) == 5 + 3 + 2);
    CHECK(load.attended(1) == 8);
    CHECK(load.cached(1) == 4 + 3 + 1);
    for (std::int32_t window = 1; window < 20; ++window) {
        std::int64_t sum = 0;
        for (const LoadRun& run : load.runs) {
            for (std::int32_t i = 0; i < run.rows; ++i) {
                sum += std::min(run.position + i + 1, window);
            }
        }
        CHECK(load.attended(window) == sum);
    }
}

TEST_CASE("layers that differ are summed over the range") {
    StageCost mixed = cost(6);
    mixed.layers[1].weight_bytes = mixed.layers[4].weight_bytes = 3e6;
    mixed.layers[2].window = 100;
    const StageProfile profile(device(), mixed);
    const PartLoad load{{{999, 1}}, 1};
    const auto part_us = [&](LayerRange layers) {
        return profile.part_us(PartKind::decode, load, layers, false);
    };
    // Beside the weights, 1e6 bytes of the cache are read, or 1e5 within the window.
    CHECK(part_us({0, 1}) == Approx(7 + 40));
    CHECK(part_us({1, 2}) == Approx(7 + 80));
    CHECK(part_us({2, 3}) == Approx(7 + 22));
    CHECK(part_us({0, 6}) == Approx(3 * 47 + 2 * 87 + 29));
    CHECK(part_us({1, 3}) == Approx(87 + 29));
    CHECK(part_us({3, 3}) == 0);
}

TEST_CASE("the costs of a model's layers follow from their shapes") {
    ModelSpec spec;
    spec.layers = 4;
    spec.hidden = 8;
    spec.vocabulary = 100;
    spec.attention.q_heads = spec.attention.kv_heads = 2;
    spec.attention.head_dim = 4;
    spec.mlp.ffn = 16;
    const StageCost same = stage_cost(spec, 2);
    REQUIRE(same.layers.size() == 4);
    CHECK(same.layers[3] == same.layers[0]);
    CHECK(same.layers[0].weight_bytes == 2 * (4 * 64 + 3 * 128 + 16));
    CHECK(same.lm_head_bytes == 1600);
    spec.layer_specs.resize(4);
    spec.layer_specs[2].sliding_window = 512;
    spec.layer_specs[3].moe = true;
    spec.mlp.moe = MoeSpec{.experts = 4, .expert_ffn = 16};
    const StageCost differ = stage_cost(spec, 2);
    CHECK(differ.layers[0] == same.layers[0]);
    CHECK(differ.layers[2].window == 512);
    CHECK(differ.layers[2].weight_bytes == same.layers[0].weight_bytes);
    CHECK(differ.layers[3].weight_bytes > 2 * same.layers[0].weight_bytes);
}

TEST_CASE("a table is linear between its rows and beyond them") {
    DeviceProfile measured = device();
    measured.decode = {{1, 10}, {5, 18}, {10, 48}};
    measured.prefill = {{1, 100}};
    const StageProfile profile(measured, cost());
    const auto decode = [&](std::int32_t rows) {
        return profile.layer_us(PartKind::decode, decode_rows(rows), 0);
    };
    CHECK(decode(1) == Approx(10));
    CHECK(decode(3) == Approx(14));
    CHECK(decode(5) == Approx(18));
    CHECK(decode(6) == Approx(24));
    CHECK(decode(20) == Approx(108));
    CHECK(profile.layer_us(PartKind::prefill, {{{0, 512}}, 0}, 0) == Approx(100));
    CHECK(profile.part_us(PartKind::prefill, {{{0, 512}}, 0}, {0, 3}, false) == Approx(300));
    CHECK(profile.lm_head_us(4) == 0);
    measured.lm_head = {{1, 3}};
    CHECK(StageProfile(measured, cost()).lm_head_us(4) == Approx(3));
}

TEST_CASE("built-in devices have names, and other names are refused") {
    for (const char* name : {"rtx-3090", "rtx-4090", "rtx-2080-ti", "a100"}) {
        const auto found = device_profile(name);
        REQUIRE(found.has_value());
        CHECK(found->name == name);
        CHECK(found->memory_gib > 0);
    }
    const auto unknown = device_profile("h100");
    REQUIRE_FALSE(unknown.has_value());
    CHECK(unknown.error().message().find("rtx-2080-ti") != std::string::npos);
}
