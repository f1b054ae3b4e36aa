// The model of a ring with which the adaptive scheduler predicts times.
#include "sched/ring_model.h"

#include <vector>

#include "support/catch.h"

using namespace molink;

TEST_CASE("rows that return to the LM head load the last link, one row per prefill part") {
    std::vector<StageView> stages(2);
    for (StageView& stage : stages) {
        stage.row_bytes = 10'000;
        stage.link_to_next.bytes_per_s = 1e6;
    }
    stages[1].cargo = LinkCargo::tokens;
    SchedulerView view;
    view.stages = stages;
    const double decode = RingModel(view).service_us(PartKind::decode, 8);
    const double prefill = RingModel(view).service_us(PartKind::prefill, 8);
    stages[1].cargo = LinkCargo::sampled_rows;
    REQUIRE(RingModel(view).service_us(PartKind::decode, 8) == Approx(decode + 80'000));
    REQUIRE(RingModel(view).service_us(PartKind::prefill, 8) == Approx(prefill + 10'000));
    REQUIRE(RingModel(view).slowest_us(PartKind::decode, 8) > 80'000);
}

TEST_CASE("prefill gets what decode leaves of a stage or link, and always a minimum") {
    std::vector<StageView> stages(2);
    for (StageView& stage : stages) {
        stage.decode = {1'000, 0};
        stage.prefill = {4'000, 0};
        stage.link_to_next.delay_us = 10'000;
    }
    SchedulerView view;
    view.stages = stages;
    const RingModel ring(view);
    REQUIRE(ring.pace_us(8, {}) == Approx(4'000));
    REQUIRE(ring.passage_us(8, {}) == Approx(28'000));
    // A cycle takes 22 ms, and decode takes 11 ms of each stage.
    const DecodeLoad half = ring.decode_load(22, 11);
    REQUIRE(half.rows == 2);
    REQUIRE(ring.pace_us(8, half) == Approx(8'000));
    REQUIRE(ring.passage_us(8, half) == Approx(36'000));
    REQUIRE(ring.pace_us(8, ring.decode_load(64, 64)) == Approx(20'000));
    REQUIRE(ring.decode_load(0, 4).parts == 0);
}

TEST_CASE("the slowest stage for prompts is found, unless a link is slower") {
    std::vector<StageView> stages(2);
    stages[0].prefill = {1'000, 10};
    stages[1].prefill = {500, 30};
    for (StageView& stage : stages) stage.row_bytes = 1'000;
    SchedulerView view;
    view.stages = stages;
    const auto base_us = [&](double rows, const DecodeLoad& decode) {
        const RingModel ring(view);
        const ComputeTimes* slowest = ring.slowest_prefill_compute(rows, decode);
        return slowest == nullptr ? 0 : slowest->prefill.base_us;
    };
    REQUIRE(base_us(8, {}) == 1'000);
    REQUIRE(base_us(100, {}) == 500);
    // 100 rows take 3.5 ms of the second stage, and 105 ms of a link of 1 MB/s.
    stages[0].link_to_next.bytes_per_s = 1e6;
    REQUIRE(base_us(100, {}) == 0);
    // Decode leaves a quarter of the first stage and everything of the second.
    stages[0].link_to_next.bytes_per_s = 0;
    stages[0].decode = {3'000, 0};
    REQUIRE(base_us(100, {1, 4, 4'000, 0}) == 1'000);
}

TEST_CASE("stages of one domain have its cores by their shares") {
    std::vector<StageView> stages(3);
    for (StageView& stage : stages) {
        stage.decode = {2'000, 100};
        stage.prefill = {1'000, 10};
        stage.compute_share = 1;
    }
    stages[2].compute_domain = 2;
    SchedulerView view;
    view.stages = stages;
    REQUIRE(RingModel(view).slowest_compute_us(PartKind::decode, 10) == Approx(6'000));
    REQUIRE(RingModel(view).service_us(PartKind::decode, 10) == Approx(9'000));
    REQUIRE(RingModel(view).cycle_us(20, 2) == Approx(12'000));
    REQUIRE(RingModel(view).pace_us(100, {}) == Approx(4'000));
    // Two cores for two stages: each has one.
    stages[0].compute_share = stages[1].compute_share = 0.5;
    REQUIRE(RingModel(view).cycle_us(20, 2) == Approx(9'000));
    // Nothing is known of one of them.
    stages[0].compute_share = 1;
    stages[1].compute_share = 0;
    REQUIRE(RingModel(view).cycle_us(20, 2) == Approx(9'000));
}

TEST_CASE("no part takes less than a stage's weights") {
    std::vector<StageView> stages(1);
    stages[0].prefill = {0, 100, 5'000};
    SchedulerView view;
    view.stages = stages;
    const RingModel ring(view);
    REQUIRE(ring.pace_us(8, {}) == Approx(5'000));
    REQUIRE(ring.pace_us(80, {}) == Approx(8'000));
    REQUIRE(ring.slowest_prefill_base_us() == 0);
}
