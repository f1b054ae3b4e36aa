// Building a pipeline: reports of stages in different orders, and reports that are wrong.
#include "pipeline/pipeline_build.h"

#include "support/catch.h"

using namespace molink;

namespace {

constexpr PipelineEpoch epoch_of(std::uint32_t epoch) {
    return {PipelineId(0), Epoch(epoch)};
}

PipelineBuild begin_three() {
    const Ring ring =
        *Ring::make({{NodeId(1), "a", {0, 2}}, {NodeId(2), "b", {2, 4}}, {NodeId(3), "c", {4, 6}}},
                    false, false);
    PipelineBuild build;
    build.begin(epoch_of(4), ring, 5, 50);
    return build;
}

StageLoaded loaded(std::uint32_t stage, std::uint64_t blocks, std::uint32_t epoch = 4) {
    return {epoch_of(epoch), stage, 1000, blocks};
}

}  // namespace

TEST_CASE("the last report completes a step, in any order of the stages") {
    const std::vector<std::vector<std::uint32_t>> orders{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
    for (const auto& order : orders) {
        PipelineBuild build = begin_three();
        for (std::size_t i = 0; i < 3; ++i) {
            const auto all = build.on_loaded(loaded(order[i], 10 + i));
            REQUIRE(all.has_value());
            REQUIRE(*all == (i == 2));
        }
        REQUIRE(build.kv_blocks() == 10);
        for (std::size_t i = 0; i < 3; ++i) {
            const auto all = build.on_ready({epoch_of(4), order[i]});
            REQUIRE(all.has_value());
            REQUIRE(*all == (i == 2));
        }
    }
}

TEST_CASE("the number of KV blocks is at most the useful one") {
    PipelineBuild build = begin_three();
    for (std::uint32_t i = 0; i < 3; ++i) REQUIRE(build.on_loaded(loaded(i, 900)));
    REQUIRE(build.kv_blocks() == 50);
}

TEST_CASE("unexpected reports are errors") {
    PipelineBuild build = begin_three();
    REQUIRE_FALSE(build.on_loaded(loaded(3, 5)).has_value());
    REQUIRE_FALSE(build.on_loaded(loaded(0, 5, 3)).has_value());
    REQUIRE_FALSE(build.on_ready({epoch_of(4), 0}).has_value());
    REQUIRE(build.on_loaded(loaded(0, 5)).has_value());
    REQUIRE_FALSE(build.on_loaded(loaded(0, 5)).has_value());
}

TEST_CASE("a stage with room for too few KV blocks is refused with both numbers") {
    for (std::uint64_t blocks : {0, 1, 4}) {
        PipelineBuild build = begin_three();
        const Status few = build.on_loaded(loaded(1, blocks)).status();
        INFO(few.to_string());
        REQUIRE(few.code() == StatusCode::resource_exhausted);
        REQUIRE(few.message().find(" " + std::to_string(blocks) + " KV block") !=
                std::string::npos);
        REQUIRE(few.message().find("needs at least 5") != std::string::npos);
    }
}
