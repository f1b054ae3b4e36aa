// See scheduler_contract.h.
#include "support/scheduler_contract.h"

#include <string>

#include "support/catch.h"
#include "support/core_fixture.h"

namespace molink::test {
namespace {

struct Run {
    std::vector<std::string> plans;
    MetricsSnapshot metrics;
};

std::string describe(const PartPlan& part) {
    std::string text = std::to_string(static_cast<int>(part.kind())) + ":";
    for (const RowSpan& span : spans_of(part.rows)) {
        text += std::to_string(span.sequence.value) + "@" + std::to_string(span.position) + "+" +
                std::to_string(span.count) + " ";
    }
    return text;
}

Run run_load(const SchedulerFactory& make, std::uint64_t seed) {
    Random random(seed);
    EngineCoreOptions options;
    options.max_running = static_cast<std::int32_t>(1 + random.below(12));
    options.max_waiting = 64;
    options.max_step_tokens = static_cast<std::int32_t>(1 + random.below(100));
    options.max_slice_tokens = static_cast<std::int32_t>(
        1 + random.below(static_cast<std::uint64_t>(options.max_step_tokens)));
    options.block_tokens = kBlockTokens;
    options.vocabulary = kFoldVocabulary;
    const auto stages = static_cast<std::int32_t>(1 + random.below(5));
    const auto blocks = static_cast<std::int64_t>(12 + random.below(40));
    CoreFixture fixture(stages, 6, options, make(), blocks, seed % 2 == 0);
    const std::size_t requests = 20;
    std::size_t submitted = 0;
    for (std::size_t hop = 0; hop < 200'000; ++hop) {
        if (submitted < requests && random.below(5) == 0) {
            std::vector<Token> prompt(1 + random.below(90));
            for (Token& token : prompt) token = static_cast<Token>(random.below(kFoldVocabulary));
            fixture.submit(prompt, static_cast<std::int32_t>(1 + random.below(40)));
            ++submitted;
        }
        fixture.core.step(fixture.now_us);
        if (hop % 16 == 0) REQUIRE(fixture.core.check().ok());
        if (!fixture.deliver_one(random) && submitted == requests) break;
    }
    for (const auto& [id, outcome] : fixture.outcomes) {
        INFO("seed " << seed << " request " << id.value << ": " << outcome.status.to_string());
        REQUIRE(outcome.reason == FinishReason::length);
        REQUIRE(outcome.terminal_events == 1);
        REQUIRE(outcome.events_after_end == 0);
        REQUIRE(outcome.tokens == fold_tokens(outcome.prompt, outcome.max_tokens, fixture.layers));
    }
    INFO("seed " << seed);
    REQUIRE(fixture.outcomes.size() == requests);
    REQUIRE(fixture.violation().empty());
    REQUIRE(fixture.retire_status.ok());
    REQUIRE(fixture.core.check().ok());
    Run run;
    for (const PartPlan& part : fixture.launched) run.plans.push_back(describe(part));
    fixture.core.fill_metrics(run.metrics);
    REQUIRE(run.metrics.kv_blocks_free == run.metrics.kv_blocks_total);
    return run;
}

}  // namespace

void check_scheduler_contract(const SchedulerFactory& make, std::uint64_t seed) {
    const Run first = run_load(make, seed);
    const Run second = run_load(make, seed);
    INFO("seed " << seed);
    REQUIRE(first.metrics.plans_refused == 0);
    REQUIRE(first.plans == second.plans);
}

}  // namespace molink::test
