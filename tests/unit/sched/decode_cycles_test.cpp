// How many micro-batches the adaptive scheduler keeps, from predicted cycles alone.
#include "sched/decode_cycles.h"

#include <vector>

#include "support/catch.h"

using namespace molink;

namespace {

/// Two stages 10 ms apart that take so long for a decode part.
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
    // b rows take 1 ms + 1 ms a row on each stage: 22 + 2 b ms round the ring, n (1 + b) ms a
    // stage.
    const TwoStages ring({1'000, 1'000});
    // Of 16 rows: 1: 54 ms, 2: 38, 3: 34, 4: 30, 5: 30, 6: 28, 8: 26 (24 of a stage), 16: 32.
    REQUIRE(ring.choose(16, 0, false) == 8);
    REQUIRE(ring.choose(1, 0, false) == 1);
    // However many rows, no more than can be told apart.
    REQUIRE(ring.choose(100'000, 0, false) <= DecodeCycles::kMost);
}

TEST_CASE("decode cycles: a number in use stays while it is hardly worse and stages rest") {
    // Rows cost next to nothing: every number has a cycle of 32 ms, 6 ms of them on each stage for
    // one micro-batch and all but 2 for five.
    const TwoStages ring({6'000, 1});
    REQUIRE(ring.choose(16, 0, false) == 1);
    REQUIRE(ring.choose(16, 2, false) == 2);
    REQUIRE(ring.choose(16, 3, false) == 1);  // too far above
    REQUIRE(ring.choose(16, 2, true) == 1);   // prompts have the rest
    REQUIRE(ring.choose(2, 64, false) == 2);  // no more than there are rows
}

TEST_CASE("decode cycles: beside prompts decode takes less of a stage") {
    const TwoStages ring({1'000, 1'000});
    // One would take 54 ms, more than twice the best of 26; two take 38.
    REQUIRE(ring.choose(16, 0, true) == 2);
}

TEST_CASE("decode cycles: while stages have little to do more micro-batches are under way") {
    // Every number has a cycle of 22 ms; five take 5 ms of it on each stage, six more than a
    // quarter.
    const TwoStages ring({1'000, 1});
    REQUIRE(ring.choose(16, 0, false) == 5);
    REQUIRE(ring.choose(16, 5, false) == 5);
    REQUIRE(ring.choose(3, 0, false) == 3);
    REQUIRE(ring.choose(16, 0, true) == 5);
}
