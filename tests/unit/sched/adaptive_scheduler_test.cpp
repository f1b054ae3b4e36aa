// The adaptive scheduler and the paper's from hand-made views with known best answers.
#include <molink/scheduler.h>

#include "scene.h"
#include "support/catch.h"

using namespace molink;

namespace {

/// Three stages of 5 ms whatever the rows, links of 100 Mbit/s and 30 ms.
Scene weak_ring() {
    Scene scene;
    for (StageView& stage : scene.stages) {
        stage.decode = {5000, 20};
        stage.prefill = {5000, 40};
        stage.hidden = 4096;
        stage.row_bytes = 16384;
        stage.link_to_next = {12.5e6, 30'000, 0};
    }
    scene.view.max_running = 64;
    scene.view.max_step_tokens = 512;
    scene.view.max_slice_tokens = 512;
    scene.view.free_blocks = 10'000;
    return scene;
}

/// Rows of the micro-batches that are launched one after the other.
std::vector<std::size_t> launches(Scene& scene, Scheduler& scheduler) {
    std::vector<std::size_t> rows;
    while (!scene.decodable.empty()) {
        const StepPlan plan = scene.plan(scheduler);
        if (plan.decode.empty()) break;
        rows.push_back(plan.decode.size());
        scene.decodable.erase(
            scene.decodable.begin(),
            scene.decodable.begin() + static_cast<std::ptrdiff_t>(plan.decode.size()));
        scene.view.decoding_in_flight += static_cast<std::int32_t>(plan.decode.size());
        ++scene.view.decode_parts_in_flight;
        ++scene.view.micro_batches_in_flight;
    }
    return rows;
}

}  // namespace

TEST_CASE("as many micro-batches as the ring needs, no more") {
    Scene scene = weak_ring();
    scene.decode(32);
    // One micro-batch of 32 rows pays two transfers of 42 ms one after the other: 90 ms of delay,
    // 15 of stages, 84 of links. Eight of four rows overlap them: 105 + 11 ms, and the slowest link
    // is busy for 44.
    const std::vector<std::size_t> rows = launches(scene, *make_adaptive_scheduler());
    REQUIRE(rows.size() >= 6);
    REQUIRE(rows.size() <= 24);
    std::size_t sum = 0;
    for (std::size_t count : rows) sum += count;
    REQUIRE(sum == 32);
}

TEST_CASE("a ring without delay and rate limits has as many micro-batches as stages") {
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) {
        stage.link_to_next = {};
        stage.decode = {500, 400};
    }
    scene.decode(32);
    REQUIRE(launches(scene, *make_adaptive_scheduler()).size() == 3);
}

TEST_CASE("the last percent of a stage that would never rest is not paid for") {
    Scene scene = weak_ring();
    scene.stages.resize(2);
    for (StageView& stage : scene.stages) {
        stage.decode = {22'000, 1800};
        stage.row_bytes = 8192;
        stage.link_to_next = {12.5e6, 15'000, 0};
    }
    // Two micro-batches take 91 ms and leave stages a third of it, three take 87 and leave 5.
    scene.decode(8);
    REQUIRE(launches(scene, *make_adaptive_scheduler()).size() == 2);
    // With twice the delay four take 113 ms and leave a tenth, two take 121: that is worth it.
    for (StageView& stage : scene.stages) stage.link_to_next.delay_us = 30'000;
    scene.view.decoding_in_flight = 0;
    scene.view.decode_parts_in_flight = scene.view.micro_batches_in_flight = 0;
    scene.decode(8);
    REQUIRE(launches(scene, *make_adaptive_scheduler()).size() > 2);
}

TEST_CASE("one stage has one micro-batch") {
    Scene scene = weak_ring();
    scene.stages.resize(1);
    scene.stages[0].link_to_next = {};
    scene.decode(32);
    REQUIRE(launches(scene, *make_adaptive_scheduler()) == std::vector<std::size_t>{32});
}

TEST_CASE("slices keep a stage from being held up while others decode") {
    Scene scene = weak_ring();
    scene.sequences[39].prompt_tokens = 1024;
    scene.prefilling = {&scene.sequences[39]};
    scene.view.decoding_in_flight = 16;
    const auto scheduler = make_adaptive_scheduler();
    const std::int32_t slice = scene.plan(*scheduler).prefill.at(0).count;
    REQUIRE(scene.stages[0].prefill.at(slice) <= 2 * scene.stages[0].prefill.at(8));
    REQUIRE(slice >= 8);
    // Slices follow each other through the ring until it is full.
    scene.view.prefill_parts_in_flight = 2;
    REQUIRE(scene.plan(*scheduler).prefill.size() == 1);
    scene.view.prefill_parts_in_flight = 64;
    REQUIRE(scene.plan(*scheduler).prefill.empty());
}

TEST_CASE("a slice is no smaller than reading a stage's weights is worth") {
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) {
        stage.decode = stage.prefill = {4000, 400};
        stage.link_to_next = {};
    }
    scene.sequences[39].prompt_tokens = 1024;
    scene.prefilling = {&scene.sequences[39]};
    scene.view.decoding_in_flight = 4;
    const auto slice = [&] { return scene.plan(*make_adaptive_scheduler()).prefill.at(0).count; };
    REQUIRE(slice() == 64);  // 29.6 ms, ten times what it costs without rows is 40
    for (StageView& stage : scene.stages) stage.prefill.base_us = 400;
    REQUIRE(slice() == 24);  // 10 ms, the head-of-line bound
    for (StageView& stage : scene.stages) stage.prefill.base_us = 2000;
    REQUIRE(slice() == 32);  // 14.8 ms of 20
}

TEST_CASE("a head that serves alone decodes few rows no more often than prompts can bear") {
    Scene scene = weak_ring();
    scene.stages.resize(1);
    scene.stages[0].decode = scene.stages[0].prefill = {10'000, 1'000};
    scene.stages[0].link_to_next = {};
    scene.view.max_running = 32;
    scene.view.running = 4;
    scene.decode(4);
    for (std::size_t i = 4; i < 32; ++i) scene.waiting.push_back(&scene.sequences[i]);
    // A part of 4 rows takes 14 ms; among 32 rows they would take 5.25: once in 437.5 ms is enough.
    const auto scheduler = make_adaptive_scheduler();
    const std::int64_t begin_us = scene.view.now_us = 1'000'000;
    REQUIRE(scene.plan(*scheduler).decode.size() == 4);
    // A slice is under way, others wait: they go first, in slices as large as the wait permits.
    scene.view.prefill_parts_in_flight = 1;
    scene.view.prefill_rows_in_flight = 128;
    scene.view.now_us = begin_us + 437'000;
    const StepPlan held = scene.plan(*scheduler);
    REQUIRE(held.decode.empty());
    REQUIRE(held.prefill.size() > 1);
    scene.view.now_us = begin_us + 438'000;
    REQUIRE(scene.plan(*scheduler).decode.size() == 4);
    // The last slice is under way: it is waited for; without one there is nothing to wait for.
    scene.view.now_us += 1'000;
    REQUIRE(scene.plan(*scheduler).decode.empty());
    scene.waiting.clear();
    scene.view.running = 32;
    REQUIRE(scene.plan(*scheduler).decode.empty());
    scene.view.prefill_parts_in_flight = scene.view.prefill_rows_in_flight = 0;
    REQUIRE(scene.plan(*scheduler).decode.size() == 4);
}

TEST_CASE("a goal for gaps goes before the spacing of decode parts") {
    Scene scene = weak_ring();
    scene.stages.resize(1);
    scene.stages[0].decode = scene.stages[0].prefill = {10'000, 1'000};
    scene.stages[0].link_to_next = {};
    scene.view.running = 4;
    scene.decode(4);
    scene.waiting = {&scene.sequences[39]};
    AdaptiveSchedulerOptions goal;
    goal.latency_goal_us = 50'000;
    const auto scheduler = make_adaptive_scheduler(goal);
    scene.view.now_us = 1'000'000;
    REQUIRE(scene.plan(*scheduler).decode.size() == 4);
    scene.view.prefill_parts_in_flight = 1;
    scene.view.prefill_rows_in_flight = 128;
    REQUIRE(scene.plan(*scheduler).decode.size() == 4);
}

TEST_CASE("decode waits for no slice that leaves stages idle") {
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) {
        stage.decode = stage.prefill = {10'000, 1'000};
        stage.link_to_next = {125e7, 0, 0};
    }
    scene.view.max_running = 32;
    scene.view.running = 32;
    scene.decode(4);
    const auto scheduler = make_adaptive_scheduler();
    scene.view.now_us = 1'000'000;
    scene.view.prefill_parts_in_flight = 4;
    scene.view.prefill_rows_in_flight = 256;
    REQUIRE(!scene.plan(*scheduler).decode.empty());
    REQUIRE(scene.plan(*scheduler).decode.empty());
    scene.view.prefill_parts_in_flight = 1;  // of three stages two have nothing to do
    scene.view.prefill_rows_in_flight = 64;
    REQUIRE(!scene.plan(*scheduler).decode.empty());
}

TEST_CASE("decode takes less of its stages while prompts fill them") {
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) {
        stage.decode = {3000, 900};
        stage.prefill = {4000, 400};
        stage.link_to_next = {125e6, 10'000, 0};
    }
    scene.stages.resize(2);
    scene.decode(8);
    const std::vector<std::size_t> alone = launches(scene, *make_adaptive_scheduler());
    REQUIRE(alone.size() > 2);
    Scene beside = scene;
    beside.decode(8);
    beside.view.decoding_in_flight = beside.view.decode_parts_in_flight = 0;
    beside.waiting = {&beside.sequences[39]};
    beside.view.max_running = 8;
    beside.view.prefill_parts_in_flight = 4;
    beside.view.prefill_rows_in_flight = 256;
    REQUIRE(launches(beside, *make_adaptive_scheduler()) == std::vector<std::size_t>{8});
    // Where stages wait for the way round anyway, nothing is gained by it.
    for (StageView& stage : beside.stages) stage.link_to_next.delay_us = 200'000;
    beside.decode(8);
    beside.view.decoding_in_flight = beside.view.decode_parts_in_flight = 0;
    Scene far = beside;
    far.waiting.clear();
    far.decode(8);
    REQUIRE(launches(beside, *make_adaptive_scheduler()) ==
            launches(far, *make_adaptive_scheduler()));
}

TEST_CASE("one row more than its share goes along where it hardly takes longer") {
    const std::int64_t row_bytes = GENERATE(4'096, 16'384);
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) stage.row_bytes = row_bytes;
    scene.decode(16);
    const auto scheduler = make_adaptive_scheduler();
    const std::vector<std::size_t> rows = launches(scene, *scheduler);
    const std::size_t share = rows.at(0);
    REQUIRE(share >= 2);
    REQUIRE(share <= 8);
    // All but one micro-batch are under way, one of them a row short. A row takes two links 0.7 or
    // 2.6 ms of a cycle of about 110 ms.
    scene.decode(share + 1);
    scene.view.decode_parts_in_flight = static_cast<std::int32_t>(rows.size()) - 1;
    scene.view.decoding_in_flight = 15 - static_cast<std::int32_t>(share);
    const bool cheap = row_bytes == 4'096;
    REQUIRE(scene.plan(*scheduler).decode.size() == (cheap ? share + 1 : share));
    scene.decode(2 * share + 2);
    scene.view.decoding_in_flight = 14 - 2 * static_cast<std::int32_t>(share);
    REQUIRE(scene.plan(*scheduler).decode.size() == share);
}

TEST_CASE("slices are as small as stages keep up with beside decode") {
    Scene scene = weak_ring();
    scene.sequences[39].prompt_tokens = 1024;
    scene.prefilling = {&scene.sequences[39]};
    for (StageView& stage : scene.stages) stage.prefill = {9'000, 40};
    const std::int32_t alone = scene.plan(*make_adaptive_scheduler()).prefill.at(0).count;
    REQUIRE(alone == 8);  // 9.3 ms of a stage, 10.5 of a link
    // What decode leaves of a stage is too little for that pace.
    for (StageView& stage : scene.stages) stage.decode = {50'000, 20};
    scene.decode(1);
    REQUIRE(scene.plan(*make_adaptive_scheduler()).prefill.at(0).count > alone);
}

TEST_CASE("prefill under way keeps the slowest link busy, hardly more") {
    Scene scene = weak_ring();
    scene.sequences[39].prompt_tokens = 4096;
    scene.prefilling = {&scene.sequences[39]};
    const auto scheduler = make_adaptive_scheduler();
    std::int32_t rows = 0;
    for (StepPlan plan = scene.plan(*scheduler); !plan.prefill.empty();
         plan = scene.plan(*scheduler)) {
        rows += plan.prefill.at(0).count;
        ++scene.view.prefill_parts_in_flight;
    }
    const double link_ms = rows * 16384 / 12'500.0;
    // Once round a slice of 16 rows takes 90 ms of delay, 17 of stages, 42 of links.
    REQUIRE(link_ms > 149);
    REQUIRE(link_ms < 1.25 * 149 + 2 * 21);
}

TEST_CASE("a deep queue of prompts is cut into fewer parts") {
    Scene scene = weak_ring();
    for (std::size_t i = 20; i < 40; ++i) {
        scene.sequences[i].prompt_tokens = 1024;
        scene.waiting.push_back(&scene.sequences[i]);
    }
    const auto scheduler = make_adaptive_scheduler();
    const std::int32_t deep = scene.plan(*scheduler).prefill.at(0).count;
    scene.waiting.resize(1);
    REQUIRE(scene.plan(*scheduler).prefill.at(0).count < deep);
}

TEST_CASE("the prompt with the least left goes first, and waiting counts") {
    Scene scene = weak_ring();
    SequenceView& begun = scene.sequences[0];
    SequenceView& later = scene.sequences[1];
    begun.prompt_tokens = 2000;
    begun.scheduled = 500;
    later.prompt_tokens = 1000;
    scene.prefilling = {&begun};
    scene.waiting = {&later};
    const auto scheduler = make_adaptive_scheduler();
    const auto first = [&] { return scene.plan(*scheduler).prefill.at(0).sequence; };
    REQUIRE(first() == later.id);
    begun.scheduled = 1500;
    REQUIRE(first() == begun.id);
    begun.scheduled = 500;
    // 1,500 rows take 2 s over the slowest link, 1,000 take 1.3 s; ten times the difference later:
    scene.view.now_us = later.arrival_us = 7'500'000;
    REQUIRE(first() == begun.id);
    later.arrival_us = 3'000'000;
    REQUIRE(first() == later.id);
}

TEST_CASE("what cannot be admitted holds up nobody who was") {
    Scene scene = weak_ring();
    SequenceView& begun = scene.sequences[0];
    SequenceView& large = scene.sequences[1];
    begun.prompt_tokens = 2000;
    large.prompt_tokens = 1000;
    large.blocks_needed = 90;
    scene.sequences[2].prompt_tokens = 3000;
    scene.view.free_blocks = 80;
    scene.view.running = 1;
    scene.prefilling = {&begun};
    scene.waiting = {&large, &scene.sequences[2]};
    const StepPlan plan = scene.plan(*make_adaptive_scheduler());
    REQUIRE(plan.prefill.size() == 1);
    REQUIRE(plan.prefill[0].sequence == begun.id);
}

TEST_CASE("goals bind admission") {
    Scene scene = weak_ring();
    scene.waiting = {&scene.sequences[39]};
    scene.view.decoding_in_flight = 16;
    scene.view.decode_parts_in_flight = 8;
    scene.view.running = 16;
    REQUIRE(scene.plan(*make_adaptive_scheduler()).prefill.size() == 1);
    AdaptiveSchedulerOptions fast;
    fast.latency_goal_us = 50'000;  // the delays alone are 90 ms
    REQUIRE(scene.plan(*make_adaptive_scheduler(fast)).prefill.empty());
    AdaptiveSchedulerOptions enough;
    enough.throughput_goal = 50;  // 16 rows in 120 ms are 130 tokens/s
    REQUIRE(scene.plan(*make_adaptive_scheduler(enough)).prefill.empty());
    scene.view.running = 0;  // somebody always runs
    scene.view.decoding_in_flight = scene.view.decode_parts_in_flight = 0;
    REQUIRE(scene.plan(*make_adaptive_scheduler(fast)).prefill.size() == 1);
}

TEST_CASE("the paper's rule: phases apart, micro-batches by its constants") {
    Scene scene = weak_ring();
    scene.decode(32);
    scene.view.running = 32;
    // c(32/N) = 5 + 0.64/N*... about 10 ms, x(32/N) = 2 * 4096 * 32/N bytes over 1 Gbit/s + 5 ms:
    // N = 3 gives 1 * 10.2 against 2 * 5.7, N = 4 gives 2 * 10.2 against 2 * 5.5.
    REQUIRE(launches(scene, *make_paper_scheduler()).size() == 4);
    scene = weak_ring();
    scene.decode(4);
    scene.waiting = {&scene.sequences[39]};
    scene.view.running = 4;
    const StepPlan plan = scene.plan(*make_paper_scheduler());
    REQUIRE(plan.decode.empty());
    REQUIRE(plan.prefill.size() == 1);
}
