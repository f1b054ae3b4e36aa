// Rings: every topology that a pipeline can have, and stages that do not form a ring.
#include "ring/ring.h"

#include <string>

#include "support/catch.h"

using namespace molink;

namespace {

using Stage = std::optional<std::size_t>;

std::vector<RingStage> three() {
    return {{NodeId(4), "a", {0, 2}}, {kHeadNode, "", {2, 5}}, {NodeId(1), "c", {5, 6}}};
}

std::string refusal(std::vector<RingStage> stages) {
    const auto ring = Ring::make(std::move(stages), false, false);
    REQUIRE_FALSE(ring.has_value());
    REQUIRE(ring.error().code() == StatusCode::invalid_argument);
    return ring.error().message();
}

}  // namespace

TEST_CASE("a single stage does everything and sends only to the head") {
    for (bool lm_head_first : {false, true}) {
        for (bool feeds_back : {false, true}) {
            const RingShape ring(1, lm_head_first, feeds_back);
            CHECK(ring.lm_head_stage() == 0);
            CHECK(ring.has_embedding(0));
            CHECK(ring.has_lm_head(0));
            CHECK(ring.is_last(0));
            CHECK_FALSE(ring.returns());
            CHECK(ring.next(0) == Stage());
            CHECK(ring.previous(0) == Stage());
            CHECK(ring.cargo(0) == LinkCargo::tokens);
        }
    }
}

TEST_CASE("without feedback a ring with the LM head last is open") {
    const RingShape ring(3, false, false);
    CHECK(ring.next(0) == Stage(1));
    CHECK(ring.next(1) == Stage(2));
    CHECK(ring.next(2) == Stage());
    CHECK(ring.previous(0) == Stage());
    CHECK(ring.previous(1) == Stage(0));
    CHECK(ring.previous(2) == Stage(1));
    CHECK(ring.lm_head_stage() == 2);
    CHECK_FALSE(ring.returns());
    CHECK(ring.cargo(1) == LinkCargo::activations);
    CHECK(ring.cargo(2) == LinkCargo::tokens);
}

TEST_CASE("with feedback the last stage sends tokens to the first") {
    const RingShape ring(3, false, true);
    CHECK(ring.next(2) == Stage(0));
    CHECK(ring.previous(0) == Stage(2));
    CHECK(ring.lm_head_stage() == 2);
    CHECK(ring.cargo(2) == LinkCargo::tokens);
    CHECK(ring.feeds_back());
}

TEST_CASE("with the LM head on the first stage rows return to it") {
    for (bool feeds_back : {false, true}) {
        const RingShape ring(2, true, feeds_back);
        CHECK(ring.returns());
        CHECK(ring.next(1) == Stage(0));
        CHECK(ring.previous(0) == Stage(1));
        CHECK(ring.lm_head_stage() == 0);
        CHECK(ring.has_lm_head(0));
        CHECK_FALSE(ring.has_lm_head(1));
        CHECK(ring.cargo(0) == LinkCargo::activations);
        CHECK(ring.cargo(1) == LinkCargo::sampled_rows);
    }
}

TEST_CASE("next and previous are inverse on every shape") {
    for (std::size_t size = 1; size <= 5; ++size) {
        for (bool lm_head_first : {false, true}) {
            for (bool feeds_back : {false, true}) {
                const RingShape ring(size, lm_head_first, feeds_back);
                for (std::size_t stage = 0; stage < size; ++stage) {
                    if (const Stage next = ring.next(stage)) {
                        CHECK(ring.previous(*next) == Stage(stage));
                    }
                    if (const Stage previous = ring.previous(stage)) {
                        CHECK(ring.next(*previous) == Stage(stage));
                    }
                }
            }
        }
    }
}

TEST_CASE("nodes are found by their place in the ring") {
    const Ring ring = *Ring::make(three(), false, true);
    CHECK(ring.lm_head_node() == NodeId(1));
    CHECK(ring.find(kHeadNode) == Stage(1));
    CHECK(ring.find(NodeId(7)) == Stage());
    CHECK(ring.stage(1).on_head());
    CHECK_FALSE(ring.stage(2).on_head());
    CHECK(ring.next(0)->node == kHeadNode);
    CHECK(ring.next(1)->node == NodeId(1));
    CHECK(ring.next(2)->node == NodeId(4));
    const Ring open = *Ring::make(three(), false, false);
    CHECK(open.next(2) == nullptr);
    const Ring returning = *Ring::make(three(), true, false);
    CHECK(returning.lm_head_node() == NodeId(4));
    CHECK(returning.next(2)->node == NodeId(4));
}

TEST_CASE("stages that do not form a ring are refused with the stage and the numbers") {
    CHECK(refusal({}) == "the ring has no stages");
    auto stages = three();
    stages[1].layers = {3, 5};
    CHECK(refusal(stages) ==
          "stage 1 of the ring has layers [3, 5); one or more layers from 2 on are needed");
    stages = three();
    stages[0].layers = {0, 0};
    CHECK(refusal(stages) ==
          "stage 0 of the ring has layers [0, 0); one or more layers from 0 on are needed");
    stages = three();
    stages[2].node = NodeId(4);
    CHECK(refusal(stages) == "node 4 holds two stages of the ring");
}
