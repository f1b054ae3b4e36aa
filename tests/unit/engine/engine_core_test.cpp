// The engine core without links: cancellation, epochs, refused plans, and parts that are retired
// with wrong results.
#include "engine/engine_core.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "sim/drafting_scheduler.h"
#include "support/catch.h"
#include "support/core_fixture.h"

using namespace molink;
using test::CoreFixture;

namespace {

EngineCoreOptions small_options() {
    EngineCoreOptions options;
    options.max_running = 4;
    options.max_waiting = 8;
    options.max_step_tokens = 32;
    options.max_slice_tokens = 16;
    options.block_tokens = test::kBlockTokens;
    options.vocabulary = kFoldVocabulary;
    return options;
}

std::vector<Token> numbered(std::size_t count, Token first) {
    std::vector<Token> tokens(count);
    for (std::size_t i = 0; i < count; ++i) tokens[i] = (first + static_cast<Token>(i)) % 95;
    return tokens;
}

}  // namespace

TEST_CASE("cancellation at any moment ends a request once and frees its blocks") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Random random(seed);
        const bool direct_feedback = seed % 2 == 0;
        CoreFixture fixture(3, 6, small_options(), make_depth_scheduler(), 40, direct_feedback);
        std::vector<RequestId> ids;
        for (int i = 0; i < 8; ++i) ids.push_back(fixture.submit(numbered(20, i * 7), 12));
        const std::size_t moment = random.below(120);
        for (std::size_t i = 0; i < moment; ++i) {
            fixture.core.step(fixture.now_us);
            fixture.deliver_one(random);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            fixture.core.cancel(ids[i * 2], Status(StatusCode::cancelled, "test"), fixture.now_us);
        }
        REQUIRE(fixture.run_to_end(random));
        for (const auto& [id, outcome] : fixture.outcomes) {
            REQUIRE(outcome.terminal_events == 1);
            REQUIRE(outcome.events_after_end == 0);
            auto expected = test::fold_tokens(outcome.prompt, outcome.max_tokens, fixture.layers);
            expected.resize(outcome.tokens.size());
            REQUIRE(outcome.tokens == expected);
            if (id.value % 2 == 0) REQUIRE(outcome.reason == FinishReason::length);
        }
        REQUIRE(fixture.core.check().ok());
        MetricsSnapshot metrics;
        fixture.core.fill_metrics(metrics);
        REQUIRE(metrics.kv_blocks_free == metrics.kv_blocks_total);
        REQUIRE(metrics.running == 0);
    }
}

TEST_CASE("the end of an epoch ends every request with its reason and the next epoch serves") {
    Random random(5);
    CoreFixture fixture(2, 6, small_options(), make_depth_scheduler(), 40);
    for (int i = 0; i < 6; ++i) fixture.submit(numbered(30, i), 10);
    for (int i = 0; i < 25; ++i) {
        fixture.core.step(fixture.now_us);
        fixture.deliver_one(random);
    }
    fixture.next_epoch();
    for (const auto& [id, outcome] : fixture.outcomes) {
        REQUIRE(outcome.terminal_events == 1);
        if (outcome.reason == FinishReason::length) continue;
        REQUIRE(outcome.reason == FinishReason::error);
        REQUIRE(outcome.status.code() == StatusCode::unavailable);
    }
    const RequestId after = fixture.submit(numbered(30, 3), 10);
    REQUIRE(fixture.run_to_end(random));
    REQUIRE(fixture.outcomes[after].reason == FinishReason::length);
    REQUIRE(fixture.outcomes[after].tokens == test::fold_tokens(numbered(30, 3), 10, 6));
    REQUIRE(fixture.violation().empty());
}

TEST_CASE("stages forget finished sequences") {
    Random random(9);
    CoreFixture fixture(2, 6, small_options(), make_depth_scheduler(), 40);
    for (int round = 0; round < 20; ++round) {
        fixture.submit(numbered(10, round), 5);
        REQUIRE(fixture.run_to_end(random));
    }
    REQUIRE(fixture.known_sequences() <= 2);
}

TEST_CASE("a request that does not fit is refused with the numbers") {
    CoreFixture fixture(1, 6, small_options(), make_depth_scheduler(), 4);
    const RequestId large = fixture.submit(numbered(60, 0), 20);
    REQUIRE(fixture.outcomes[large].status.code() == StatusCode::invalid_argument);
    REQUIRE(fixture.outcomes[large].status.message().find("needs 5 KV blocks") !=
            std::string::npos);
    Status last;
    for (int i = 0; i < 13; ++i) last = fixture.outcomes[fixture.submit(numbered(4, i), 4)].status;
    REQUIRE(last.code() == StatusCode::resource_exhausted);
    REQUIRE(last.message().find("0 sequences run and 12 wait") != std::string::npos);
}

TEST_CASE("a wrong plan is refused, counted and replaced by that of the built-in policy") {
    class Wrong final : public Scheduler {
    public:
        std::string_view name() const override { return "wrong"; }
        void plan(const SchedulerView& view, StepPlan& plan) override {
            switch (calls_++ % 4) {
                case 0: plan.decode.push_back({SequenceId(99999), {}}); break;
                case 1:
                    if (!view.waiting.empty())
                        plan.prefill.push_back({view.waiting[0]->id, 100000});
                    break;
                case 2:
                    if (!view.decodable.empty()) {
                        plan.decode.assign(2, {view.decodable[0]->id, {}});
                    }
                    break;
                default: break;
            }
        }

    private:
        int calls_ = 0;
    };
    Random random(3);
    CoreFixture fixture(2, 6, small_options(), std::make_unique<Wrong>(), 40);
    for (int i = 0; i < 5; ++i) fixture.submit(numbered(20, i), 8);
    REQUIRE(fixture.run_to_end(random));
    MetricsSnapshot metrics;
    fixture.core.fill_metrics(metrics);
    REQUIRE(metrics.plans_refused > 0);
    for (const auto& [id, outcome] : fixture.outcomes) {
        REQUIRE(outcome.tokens == test::fold_tokens(outcome.prompt, 8, 6));
    }
}

TEST_CASE("a retired part with wrong results is refused and gives no token") {
    CoreFixture fixture(1, 6, small_options(), make_depth_scheduler(), 40);
    fixture.submit(numbered(8, 0), 4);
    fixture.core.step(fixture.now_us);
    REQUIRE(fixture.launched.size() == 1);
    const PartPlan& part = fixture.launched[0];
    RetiredPart good;
    good.key = part.key;
    good.kind = part.kind();
    SampledRows sampled;
    sampled.sequence = spans_of(part.rows)[0].sequence;
    sampled.position = 8;
    sampled.tokens = {1};
    good.sampled = {sampled};

    RetiredPart unknown = good;
    unknown.key.id = PartId(77);
    REQUIRE(fixture.core.on_retired(unknown, 1).code() == StatusCode::data_loss);
    RetiredPart token = good;
    token.sampled[0].tokens = {96};
    REQUIRE(fixture.core.on_retired(token, 1).code() == StatusCode::data_loss);
    RetiredPart none = good;
    none.sampled.clear();
    REQUIRE(fixture.core.on_retired(none, 1).code() == StatusCode::data_loss);
    RetiredPart position = good;
    position.sampled[0].position = 7;
    REQUIRE(fixture.core.on_retired(position, 1).code() == StatusCode::data_loss);
    RetiredPart hashes = good;
    hashes.sampled[0].logit_hashes = {1, 2};
    REQUIRE(fixture.core.on_retired(hashes, 1).code() == StatusCode::data_loss);
    REQUIRE(fixture.outcomes.begin()->second.tokens.empty());
    RetiredPart stale = good;
    stale.key.epoch = {};
    REQUIRE(fixture.core.on_retired(stale, 1).ok());
    REQUIRE(fixture.outcomes.begin()->second.tokens.empty());
    REQUIRE(fixture.core.on_retired(good, 1).ok());
    REQUIRE(fixture.outcomes.begin()->second.tokens == std::vector<Token>{1});
}

TEST_CASE("several stages have several micro-batches in flight") {
    Random random(4);
    CoreFixture fixture(3, 6, small_options(), make_depth_scheduler(), 60);
    for (int i = 0; i < 4; ++i) fixture.submit(numbered(10, i), 20);
    REQUIRE(fixture.run_to_end(random));
    MetricsSnapshot metrics;
    fixture.core.fill_metrics(metrics);
    REQUIRE(metrics.max_micro_batches_in_flight >= 3);
}

TEST_CASE("drafts change no token, whether they are right or wrong") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        Random random(seed);
        const std::int32_t layers = 6;
        std::map<RequestId, std::vector<Token>> right;
        std::uint64_t drafts = 0;
        const auto oracle = [&](RequestId request, std::int32_t,
                                std::int32_t position) -> std::optional<Token> {
            const auto& tokens = right.at(request);
            const auto at = static_cast<std::size_t>(position);
            return at < tokens.size() ? std::optional(tokens[at]) : std::nullopt;
        };
        auto drafting =
            std::make_unique<sim::DraftingScheduler>(make_depth_scheduler(), oracle, 1, drafts);
        CoreFixture fixture(3, layers, small_options(), std::move(drafting), 14, seed % 2 == 0);
        for (int i = 0; i < 6; ++i) {
            const std::vector<Token> prompt = numbered(20, i * 7);
            std::vector<Token> whole = prompt;
            for (Token token : test::fold_tokens(prompt, 24, layers)) whole.push_back(token);
            right[RequestId(static_cast<std::uint64_t>(i) + 1)] = whole;
            fixture.submit(prompt, 24);
        }
        REQUIRE(fixture.run_to_end(random));
        REQUIRE(fixture.retire_status.ok());
        REQUIRE(fixture.violation().empty());
        REQUIRE(drafts > 0);
        for (const auto& [id, outcome] : fixture.outcomes) {
            REQUIRE(outcome.tokens == test::fold_tokens(outcome.prompt, 24, layers));
            REQUIRE(outcome.terminal_events == 1);
        }
        REQUIRE(fixture.core.check().ok());
        MetricsSnapshot metrics;
        fixture.core.fill_metrics(metrics);
        REQUIRE(metrics.plans_refused == 0);
        REQUIRE(metrics.kv_blocks_free == metrics.kv_blocks_total);
    }
}

TEST_CASE("drafts that are right save decode parts") {
    const auto decode_parts = [](double share) {
        Random random(1);
        std::uint64_t drafts = 0;
        const std::vector<Token> output = test::fold_tokens(numbered(8, 0), 40, 6);
        const auto oracle = [&](RequestId, std::int32_t,
                                std::int32_t position) -> std::optional<Token> {
            const std::size_t at = static_cast<std::size_t>(position) - 8;
            return at < output.size() ? std::optional(output[at]) : std::nullopt;
        };
        CoreFixture fixture(
            2, 6, small_options(),
            std::make_unique<sim::DraftingScheduler>(make_depth_scheduler(), oracle, share, drafts),
            40);
        fixture.submit(numbered(8, 0), 40);
        REQUIRE(fixture.run_to_end(random));
        REQUIRE(fixture.outcomes.begin()->second.tokens == output);
        return std::count_if(fixture.launched.begin(), fixture.launched.end(),
                             [](const PartPlan& plan) { return plan.kind() == PartKind::decode; });
    };
    REQUIRE(decode_parts(0) == 39);
    REQUIRE(decode_parts(1) < 30);
}

TEST_CASE("a row that is not a number ends its request with stage, layers and position") {
    std::size_t ended = 0;
    std::size_t finished = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        Random random(seed);
        CoreFixture fixture(3, 6, small_options(), make_depth_scheduler(), 40, seed % 2 == 0);
        fixture.overflows = 0.002;
        fixture.next_epoch();
        for (int i = 0; i < 8; ++i) {
            const auto first = static_cast<Token>(random.below(12) * 7);
            fixture.submit(numbered(20 + random.below(20), first), 12);
        }
        REQUIRE(fixture.run_to_end(random));
        INFO(fixture.retire_status.to_string());
        REQUIRE(fixture.retire_status.ok());
        for (const auto& [id, outcome] : fixture.outcomes) {
            GenerateRequest request;
            request.prompt_tokens = outcome.prompt;
            request.max_tokens = outcome.max_tokens;
            request.ignore_eos = true;
            const sim::Expected expected = sim::expect(request, 0, {6, fixture.overflows});
            REQUIRE(outcome.terminal_events == 1);
            REQUIRE(outcome.tokens == expected.tokens);
            REQUIRE(outcome.reason == expected.reason);
            if (!expected.fault) {
                ++finished;
                continue;
            }
            ++ended;
            const std::int32_t stage = expected.fault->layer / 2;
            REQUIRE(outcome.status.code() == StatusCode::data_loss);
            const std::string& text = outcome.status.message();
            REQUIRE(text.find(fmt::format("stage {} (layers {}-{})", stage, 2 * stage,
                                          2 * stage + 1)) == 0);
            REQUIRE(text.ends_with(fmt::format("at position {}", expected.fault->position)));
        }
        REQUIRE(fixture.core.check().ok());
        MetricsSnapshot metrics;
        fixture.core.fill_metrics(metrics);
        REQUIRE(metrics.kv_blocks_free == metrics.kv_blocks_total);
        REQUIRE(metrics.running == 0);
        REQUIRE(fixture.violation().empty());
    }
    REQUIRE(ended > 50);
    REQUIRE(finished > 50);
}
