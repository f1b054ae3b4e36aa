// The adaptive scheduler and that of the paper, on hand-made views whose best plan is known.
#include <molink/scheduler.h>

#include "scene.h"
#include "support/catch.h"

using namespace molink;

namespace {

/// Returns three stages of about 5 ms for any number of rows, with links of 100 Mbit/s and 30 ms.
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

/// Returns the rows of the micro-batches that are launched one after the other.
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

TEST_CASE("there are as many micro-batches as the ring needs and no more") {
    Scene scene = weak_ring();
    scene.decode(32);
    // One micro-batch of 32 rows takes 90 ms of delay, 15 ms of stages, and two transfers of 42 ms
    // one after the other. Eight micro-batches of four rows overlap the transfers and take
    // 105 + 11 ms, in which the slowest link is busy for 44 ms.
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

TEST_CASE("a stage that would never be idle is not worth a gain of a few percent") {
    Scene scene = weak_ring();
    scene.stages.resize(2);
    for (StageView& stage : scene.stages) {
        stage.decode = {22'000, 1800};
        stage.row_bytes = 8192;
        stage.link_to_next = {12.5e6, 15'000, 0};
    }
    // Two micro-batches take 91 ms, and stages are idle for a third of it. Three take 87 ms, and
    // stages are idle for 5 ms.
    scene.decode(8);
    REQUIRE(launches(scene, *make_adaptive_scheduler()).size() == 2);
    // With twice the delay two take 121 ms and four take 113 ms, with stages idle for a tenth.
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

TEST_CASE("slices do not hold up a stage for long while other sequences decode") {
    Scene scene = weak_ring();
    scene.sequences[39].prompt_tokens = 1024;
    scene.prefilling = {&scene.sequences[39]};
    scene.view.decoding_in_flight = 16;
    const auto scheduler = make_adaptive_scheduler();
    const std::int32_t slice = scene.plan(*scheduler).prefill.at(0).count;
    REQUIRE(scene.stages[0].prefill.at(slice) <= 2 * scene.stages[0].prefill.at(8));
    REQUIRE(slice >= 8);
    // More slices follow until the ring is full.
    scene.view.prefill_parts_in_flight = 2;
    REQUIRE(scene.plan(*scheduler).prefill.size() == 1);
    scene.view.prefill_parts_in_flight = 64;
    REQUIRE(scene.plan(*scheduler).prefill.empty());
}

TEST_CASE("a slice is large enough for the cost of reading the weights") {
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) {
        stage.decode = stage.prefill = {4000, 400};
        stage.link_to_next = {};
    }
    scene.sequences[39].prompt_tokens = 1024;
    scene.prefilling = {&scene.sequences[39]};
    scene.view.decoding_in_flight = 4;
    const auto slice = [&] { return scene.plan(*make_adaptive_scheduler()).prefill.at(0).count; };
    REQUIRE(slice() == 64);  // 29.6 ms; thirty times the cost without rows is 120 ms
    for (StageView& stage : scene.stages) stage.prefill.base_us = 400;
    REQUIRE(slice() == 24);  // 10 ms of 12
    for (StageView& stage : scene.stages) stage.prefill.base_us = 500;
    REQUIRE(slice() == 32);  // 13.3 ms of 15
}

TEST_CASE("on a single stage decode parts of few rows are spaced while prompts wait") {
    Scene scene = weak_ring();
    scene.stages.resize(1);
    scene.stages[0].decode = scene.stages[0].prefill = {10'000, 1'000};
    scene.stages[0].link_to_next = {};
    scene.view.max_running = 32;
    scene.view.running = 4;
    scene.decode(4);
    for (std::size_t i = 4; i < 32; ++i) scene.waiting.push_back(&scene.sequences[i]);
    // A part of 4 rows takes 14 ms. In a part of 32 rows the 4 rows would take 5.25 ms, so that a
    // part every 437.5 ms wastes a fiftieth of the time.
    const auto scheduler = make_adaptive_scheduler();
    const std::int64_t begin_us = scene.view.now_us = 1'000'000;
    REQUIRE(scene.plan(*scheduler).decode.size() == 4);
    // A slice is in flight and prompts wait: they go first, in slices as large as the time permits.
    scene.view.prefill_parts_in_flight = 1;
    scene.view.prefill_rows_in_flight = 128;
    scene.view.now_us = begin_us + 437'000;
    const StepPlan held = scene.plan(*scheduler);
    REQUIRE(held.decode.empty());
    REQUIRE(held.prefill.size() > 1);
    scene.view.now_us = begin_us + 438'000;
    REQUIRE(scene.plan(*scheduler).decode.size() == 4);
    // Decode waits for the last slice in flight. Without a slice in flight it does not wait.
    scene.view.now_us += 1'000;
    REQUIRE(scene.plan(*scheduler).decode.empty());
    scene.waiting.clear();
    scene.view.running = 32;
    REQUIRE(scene.plan(*scheduler).decode.empty());
    scene.view.prefill_parts_in_flight = scene.view.prefill_rows_in_flight = 0;
    REQUIRE(scene.plan(*scheduler).decode.size() == 4);
}

TEST_CASE("a latency goal has precedence over the spacing of decode parts") {
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

TEST_CASE("decode does not wait for a slice that leaves stages idle") {
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
    scene.sequences[39].prompt_tokens = 4'096;
    scene.prefilling = {&scene.sequences[39]};
    REQUIRE(!scene.plan(*scheduler).decode.empty());
    REQUIRE(scene.plan(*scheduler).decode.empty());
    scene.prefilling.clear();
    scene.view.prefill_parts_in_flight = 1;  // two of the three stages are idle
    scene.view.prefill_rows_in_flight = 64;
    REQUIRE(!scene.plan(*scheduler).decode.empty());
}

TEST_CASE("decode does not wait for prompts that are computed before its wait is over") {
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) {
        stage.decode = stage.prefill = {10'000, 1'000};
        stage.link_to_next = {125e7, 50'000, 0};
    }
    scene.view.max_running = 32;
    scene.view.running = 32;
    scene.decode(2);
    scene.view.prefill_parts_in_flight = 4;
    scene.view.prefill_rows_in_flight = 256;
    const auto scheduler = make_adaptive_scheduler();
    scene.view.now_us = 1'000'000;
    REQUIRE(!scene.plan(*scheduler).decode.empty());
    scene.view.now_us += 1'000;
    REQUIRE(!scene.plan(*scheduler).decode.empty());
    // A long prompt keeps the ring full for 5 s.
    scene.sequences[39].prompt_tokens = 4'096;
    scene.prefilling = {&scene.sequences[39]};
    scene.view.now_us += 1'000;
    REQUIRE(scene.plan(*scheduler).decode.empty());
}

TEST_CASE("a few rows wait for more rows while a single stage computes a slice") {
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) {
        stage.prefill = {4'000, 200};
        stage.link_to_next = {};
    }
    scene.sequences[39].prompt_tokens = 8;
    scene.waiting = {&scene.sequences[39]};
    scene.view.prefill_parts_in_flight = 1;
    scene.view.prefill_rows_in_flight = 64;
    REQUIRE(scene.plan(*make_adaptive_scheduler()).prefill.size() == 1);
    scene.stages.resize(1);
    REQUIRE(scene.plan(*make_adaptive_scheduler()).prefill.empty());
    scene.view.prefill_parts_in_flight = scene.view.prefill_rows_in_flight = 0;
    REQUIRE(scene.plan(*make_adaptive_scheduler()).prefill.size() == 1);
    // Enough for a slice of their own go at once.
    scene.view.prefill_parts_in_flight = 1;
    scene.view.prefill_rows_in_flight = 64;
    scene.sequences[39].prompt_tokens = 5'000;
    REQUIRE(scene.plan(*make_adaptive_scheduler()).prefill.size() == 1);
}

TEST_CASE("decode uses less of the stages while prompts fill them") {
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
    // With long delays stages are idle anyway, and fewer micro-batches gain nothing.
    for (StageView& stage : beside.stages) stage.link_to_next.delay_us = 200'000;
    beside.decode(8);
    beside.view.decoding_in_flight = beside.view.decode_parts_in_flight = 0;
    Scene far = beside;
    far.waiting.clear();
    far.decode(8);
    REQUIRE(launches(beside, *make_adaptive_scheduler()) ==
            launches(far, *make_adaptive_scheduler()));
}

TEST_CASE("a micro-batch takes one row more than its share when that costs little") {
    const std::int64_t row_bytes = GENERATE(4'096, 16'384);
    Scene scene = weak_ring();
    for (StageView& stage : scene.stages) stage.row_bytes = row_bytes;
    scene.decode(16);
    const auto scheduler = make_adaptive_scheduler();
    const std::vector<std::size_t> rows = launches(scene, *scheduler);
    const std::size_t share = rows.at(0);
    REQUIRE(share >= 2);
    REQUIRE(share <= 8);
    // All but one micro-batch are in flight, and one of them is a row short. A row takes 0.7 or
    // 2.6 ms of the two links, in a cycle of about 110 ms.
    scene.decode(share + 1);
    scene.view.decode_parts_in_flight = static_cast<std::int32_t>(rows.size()) - 1;
    scene.view.decoding_in_flight = 15 - static_cast<std::int32_t>(share);
    const bool cheap = row_bytes == 4'096;
    REQUIRE(scene.plan(*scheduler).decode.size() == (cheap ? share + 1 : share));
    scene.decode(2 * share + 2);
    scene.view.decoding_in_flight = 14 - 2 * static_cast<std::int32_t>(share);
    REQUIRE(scene.plan(*scheduler).decode.size() == share);
}

TEST_CASE("slices are as small as stages can handle beside decode") {
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

TEST_CASE("prefill in flight is just enough to keep the slowest link busy") {
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
    // Round the ring a slice of 16 rows takes 90 ms of delay, 17 ms of stages and 42 ms of links.
    REQUIRE(link_ms > 149);
    REQUIRE(link_ms < 1.25 * 149 + 2 * 21);
}

TEST_CASE("prompts are cut into larger slices when many wait") {
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

TEST_CASE("the prompt with the fewest rows left goes first, but waiting time counts") {
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
    // 1,500 rows take 2 s over the slowest link and 1,000 take 1.3 s. `later` comes more than ten
    // times the difference later.
    scene.view.now_us = later.arrival_us = 7'500'000;
    REQUIRE(first() == begun.id);
    later.arrival_us = 3'000'000;
    REQUIRE(first() == later.id);
}

TEST_CASE("a prompt that cannot be admitted does not hold up admitted ones") {
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

TEST_CASE("goals limit admission") {
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
    scene.view.running = 0;  // at least one sequence always runs
    scene.view.decoding_in_flight = scene.view.decode_parts_in_flight = 0;
    REQUIRE(scene.plan(*make_adaptive_scheduler(fast)).prefill.size() == 1);
}

TEST_CASE("the rule of the paper separates prefill and decode and uses fixed constants") {
    Scene scene = weak_ring();
    scene.decode(32);
    scene.view.running = 32;
    // c(32 / N) is about 10.2 ms. x(32 / N) is 2 * 4096 * 32 / N bytes over 1 Gbit/s, plus 5 ms.
    // The smallest N with (N - 2) c >= 2 x is 4: 1 * 10.2 < 2 * 5.7 for N = 3, 2 * 10.2 > 2 * 5.5
    // for 4.
    REQUIRE(launches(scene, *make_paper_scheduler()).size() == 4);
    scene = weak_ring();
    scene.decode(4);
    scene.waiting = {&scene.sequences[39]};
    scene.view.running = 4;
    const StepPlan plan = scene.plan(*make_paper_scheduler());
    REQUIRE(plan.decode.empty());
    REQUIRE(plan.prefill.size() == 1);
}
