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
    const RingModel ring(view);
    REQUIRE(ring.slowest_prefill_stage(8, {}) == &stages[0]);
    REQUIRE(ring.slowest_prefill_stage(100, {}) == &stages[1]);
    // 100 rows take 3.5 ms of the second stage, and 105 ms of a link of 1 MB/s.
    stages[0].link_to_next.bytes_per_s = 1e6;
    REQUIRE(ring.slowest_prefill_stage(100, {}) == nullptr);
    // Decode leaves a quarter of the first stage and everything of the second.
    stages[0].link_to_next.bytes_per_s = 0;
    stages[0].decode = {3'000, 0};
    const DecodeLoad decode{1, 4, 4'000, 0};
    REQUIRE(ring.slowest_prefill_stage(100, decode) == &stages[0]);
}
