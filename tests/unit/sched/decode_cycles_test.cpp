// The number of micro-batches that the adaptive scheduler chooses from predicted cycles.
#include "sched/decode_cycles.h"

#include <vector>

#include "support/catch.h"

using namespace molink;

namespace {

/// Two stages with the given service time of decode parts, and links with a delay of 10 ms.
struct TwoStages {
    explicit TwoStages(const ServiceTime& decode) {
        for (StageView& stage : stages) {
            stage.decode = decode;
            stage.link_to_next.delay_us = 10'000;
        }
        view.stages = stages;
    }
    std::int32_t choose(std::int32_t population, std::int32_t now, bool prompts) const {
        return DecodeCycles(RingModel(view), population).choose(now, prompts);
    }

    std::vector<StageView> stages = std::vector<StageView>(2);
    SchedulerView view;
};

}  // namespace

TEST_CASE("decode cycles: the fewest micro-batches near the best cycle") {
    // A part of b rows takes 1 + b ms on each stage. A cycle of n parts takes 22 + 2 b ms round the
    // ring, or n (1 + b) ms of a stage.
    const TwoStages ring({1'000, 1'000});
    // Cycles of 16 rows by n: 1: 54 ms, 2: 38, 3: 34, 4: 30, 5: 30, 6: 28, 8: 26 (24 of a stage),
    // 16: 32.
    REQUIRE(ring.choose(16, 0, false) == 8);
    REQUIRE(ring.choose(1, 0, false) == 1);
    // The number is bounded for any number of rows.
    REQUIRE(ring.choose(100'000, 0, false) <= DecodeCycles::kMost);
}

TEST_CASE(
    "decode cycles: the number in use is kept while it is nearly as good and stages are idle "
    "enough") {
    // Rows cost almost nothing, so that every number up to three has a cycle of 42 ms. Each stage
    // is busy for 11 ms of it with one micro-batch, and for more than half of it with two.
    const TwoStages ring({11'000, 1});
    REQUIRE(ring.choose(16, 0, false) == 1);
    REQUIRE(ring.choose(16, 2, false) == 2);
    REQUIRE(ring.choose(16, 3, false) == 1);  // too far above
    REQUIRE(ring.choose(16, 2, true) == 1);   // prompts use the rest of the stages
    REQUIRE(ring.choose(2, 64, false) == 2);  // at most one per row
}

TEST_CASE("decode cycles: beside prompts decode uses less of a stage") {
    const TwoStages ring({1'000, 1'000});
    // One micro-batch takes 54 ms, more than twice the best cycle of 26 ms. Two take 38 ms.
    REQUIRE(ring.choose(16, 0, true) == 2);
}

TEST_CASE("decode cycles: there are more micro-batches while stages are mostly idle") {
    // Every number has a cycle of 22 ms. Ten micro-batches take 10 ms of it on each stage, eleven
    // take more than half.
    const TwoStages ring({1'000, 1});
    REQUIRE(ring.choose(16, 0, false) == 10);
    REQUIRE(ring.choose(16, 5, false) == 10);
    REQUIRE(ring.choose(3, 0, false) == 3);
    REQUIRE(ring.choose(16, 0, true) == 5);  // prompts: a quarter
}

TEST_CASE("decode cycles: stages that share all their cores have one micro-batch") {
    TwoStages ring({10'000, 1});
    for (StageView& stage : ring.stages) {
        stage.link_to_next.delay_us = 0;
        stage.compute_share = 1;
        stage.compute_domain = 7;
    }
    REQUIRE(ring.choose(16, 0, false) == 1);
    for (StageView& stage : ring.stages) stage.compute_share = 0.5;
    const std::int32_t enough = ring.choose(16, 0, false);
    ring.stages[1].compute_domain = 8;
    REQUIRE(ring.choose(16, 0, false) == enough);
}
