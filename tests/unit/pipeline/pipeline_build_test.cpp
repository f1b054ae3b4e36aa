// Bringing a pipeline up over every order of arrivals, and messages that do not fit.
#include "pipeline/pipeline_build.h"

#include "support/catch.h"

using namespace molink;

namespace {

PipelineBuild begin_three(bool head_first = false, bool direct_feedback = false) {
    PartitionPlan plan;
    std::vector<Assign> assigns;
    for (std::uint32_t i = 0; i < 3; ++i) {
        StagePlan stage;
        stage.node = NodeId(i + 1);
        stage.has_head = head_first ? i == 0 : i == 2;
        plan.stages.push_back(stage);
        Assign assign;
        assign.max_kv_blocks = 50;
        assign.direct_feedback = direct_feedback && i != 1;
        assigns.push_back(assign);
    }
    PipelineBuild build;
    build.begin(Epoch(4), plan, assigns);
    return build;
}

StageLoaded loaded(std::uint64_t blocks, std::uint32_t epoch = 4) {
    return {Epoch(epoch), 1000, blocks};
}

}  // namespace

TEST_CASE("the last stage to load and to be ready completes the step, in any order") {
    const std::vector<std::vector<std::uint32_t>> orders{{1, 2, 3}, {3, 2, 1}, {2, 3, 1}};
    for (const auto& order : orders) {
        PipelineBuild build = begin_three();
        for (std::size_t i = 0; i < 3; ++i) {
            const auto all = build.on_loaded(NodeId(order[i]), loaded(10 + i));
            REQUIRE(all.has_value());
            REQUIRE(*all == (i == 2));
        }
        REQUIRE(build.kv_blocks() == 10);
        for (std::size_t i = 0; i < 3; ++i) {
            const auto all = build.on_ready(NodeId(order[i]), {Epoch(4)});
            REQUIRE(all.has_value());
            REQUIRE(*all == (i == 2));
        }
    }
}

TEST_CASE("no more blocks are agreed than are of use") {
    PipelineBuild build = begin_three();
    for (std::uint32_t i = 1; i <= 3; ++i) REQUIRE(build.on_loaded(NodeId(i), loaded(900)));
    REQUIRE(build.kv_blocks() == 50);
}

TEST_CASE("messages that do not fit are errors") {
    PipelineBuild build = begin_three();
    REQUIRE_FALSE(build.on_loaded(NodeId(9), loaded(5)).has_value());
    REQUIRE_FALSE(build.on_loaded(NodeId(1), loaded(5, 3)).has_value());
    REQUIRE_FALSE(build.on_ready(NodeId(1), {Epoch(4)}).has_value());
    REQUIRE(build.on_loaded(NodeId(1), loaded(5)).has_value());
    REQUIRE_FALSE(build.on_loaded(NodeId(1), loaded(5)).has_value());
    const auto empty = build.on_loaded(NodeId(2), loaded(0));
    REQUIRE(empty.status().code() == StatusCode::resource_exhausted);
}

TEST_CASE("the ring is known by its nodes") {
    const PipelineBuild build = begin_three();
    REQUIRE(build.first() == NodeId(1));
    REQUIRE(build.next_of(NodeId(1)) == NodeId(2));
    REQUIRE(build.next_of(NodeId(3)) == NodeId(0));
    REQUIRE(begin_three(false, true).next_of(NodeId(3)) == NodeId(1));
    REQUIRE(build.sampler() == NodeId(3));
    REQUIRE(build.find(NodeId(7)) == nullptr);
}

TEST_CASE("with the LM head on the first stage the last one sends back to it") {
    const PipelineBuild build = begin_three(true);
    REQUIRE(build.next_of(NodeId(3)) == NodeId(1));
    REQUIRE(build.sampler() == NodeId(1));
}
