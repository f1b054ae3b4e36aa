// Plans of the depth scheduler for hand-made views. The contract test runs it under load.
#include <molink/scheduler.h>

#include "scene.h"
#include "support/catch.h"

using namespace molink;

TEST_CASE("running sequences are divided among as many micro-batches as there are stages") {
    Scene scene;
    for (std::size_t i = 0; i < 7; ++i) scene.decodable.push_back(&scene.sequences[i]);
    const auto scheduler = make_depth_scheduler();
    REQUIRE(scene.plan(*scheduler).decode.size() == 3);
    scene.view.micro_batches_in_flight = 3;
    REQUIRE(scene.plan(*scheduler).decode.empty());
    DepthSchedulerOptions one;
    one.depth = 1;
    scene.view.micro_batches_in_flight = 0;
    REQUIRE(scene.plan(*make_depth_scheduler(one)).decode.size() == 7);
}

TEST_CASE("prompts are sliced and admission is first come, first served") {
    Scene scene;
    scene.prefilling = {&scene.sequences[0]};
    scene.waiting = {&scene.sequences[1], &scene.sequences[2]};
    const auto scheduler = make_depth_scheduler();
    StepPlan plan = scene.plan(*scheduler);
    REQUIRE(plan.prefill.size() == 2);
    REQUIRE(plan.prefill[0].sequence == SequenceId(1));
    REQUIRE(plan.prefill[0].count == 32);
    REQUIRE(plan.prefill[1].sequence == SequenceId(2));

    scene.view.free_blocks = 9;  // the first prompt does not fit, so that none after it may pass
    scene.sequences[2].blocks_needed = 1;
    plan = scene.plan(*scheduler);
    REQUIRE(plan.prefill.size() == 1);
    scene.view.free_blocks = 100;
    scene.view.running = 8;
    REQUIRE(scene.plan(*scheduler).prefill.size() == 1);
}
