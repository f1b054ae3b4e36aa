// The planner: a plan that is not permitted is refused, the built-in policy plans when the
// scheduler does not, and both are counted.
#include "engine/planner.h"

#include <array>
#include <functional>
#include <stdexcept>
#include <vector>

#include "base/policy_limits.h"
#include "support/catch.h"

using namespace molink;

namespace {

/// Returns the plan that the test gives.
class Told final : public Scheduler {
public:
    explicit Told(StepPlan plan) : plan_(std::move(plan)) {}
    std::string_view name() const override { return "told"; }
    void plan(const SchedulerView&, StepPlan& plan) override { plan = plan_; }

private:
    StepPlan plan_;
};

/// One stage, and one sequence that decodes at position 7 of 20. It holds 2 blocks of 4 positions,
/// and 1 block is free.
struct Scene {
    Scene() {
        sequence.id = SequenceId(1);
        sequence.state = SequenceState::decodable;
        sequence.scheduled = 7;
        sequence.max_tokens = 20;
        sequence.blocks_held = 2;
        queue = {&sequence};
        view.decodable = queue;
        view.running = 1;
        view.free_blocks = 1;
        view.stages = stages;
        view.max_running = 4;
        view.max_step_tokens = 8;
        view.max_slice_tokens = 8;
        view.max_drafts = 6;
        view.block_tokens = 4;
        view.vocabulary = 50;
    }
    StepPlan next(StepPlan told, bool under_way = false) {
        Planner planner(std::make_unique<Told>(std::move(told)), Log());
        const StepPlan plan = planner.next(
            view, [this](SequenceId id) { return id == sequence.id ? &sequence : nullptr; },
            under_way);
        planner.fill_metrics(metrics);
        return plan;
    }

    SequenceView sequence;
    std::array<const SequenceView*, 1> queue{};
    std::array<StageView, 1> stages{};
    SchedulerView view;
    MetricsSnapshot metrics;
};

StepPlan decode(std::vector<Token> drafts) {
    StepPlan plan;
    plan.decode.push_back({SequenceId(1), std::move(drafts)});
    return plan;
}

}  // namespace

TEST_CASE("a permitted plan is used as it is") {
    Scene scene;
    const StepPlan plan = scene.next(decode({1, 2, 3, 4}));  // positions 7 to 11
    REQUIRE(plan.decode.at(0).drafts.size() == 4);
    REQUIRE(scene.metrics.plans_refused == 0);
    REQUIRE(scene.metrics.plans_by_fallback == 0);
}

TEST_CASE("drafts beyond a limit are refused and the built-in policy plans instead") {
    const auto refused = [](Scene& scene, std::vector<Token> drafts) {
        const StepPlan plan = scene.next(decode(std::move(drafts)));
        REQUIRE(plan.decode.size() == 1);
        CHECK(plan.decode[0].drafts.empty());
        return scene.metrics.plans_refused == 1 && scene.metrics.plans_by_fallback == 1;
    };
    Scene blocks;
    CHECK(refused(blocks, {1, 2, 3, 4, 5}));  // position 12 needs a fourth block
    Scene vocabulary;
    CHECK(refused(vocabulary, {50}));
    Scene positions;
    positions.sequence.max_tokens = 10;
    CHECK(refused(positions, {1, 2}));  // the last token of a request is never an input
    Scene drafts;
    drafts.view.max_drafts = 1;
    CHECK(refused(drafts, {1, 2}));
    Scene rows;
    rows.view.max_step_tokens = 3;
    CHECK(refused(rows, {1, 2, 3}));
}

TEST_CASE("an empty plan is replaced only when nothing is in flight") {
    Scene scene;
    REQUIRE(scene.next({}, true).empty());
    REQUIRE(scene.metrics.plans_by_fallback == 0);
    REQUIRE(scene.next({}, false).decode.size() == 1);
    REQUIRE(scene.metrics.plans_by_fallback == 1);
    REQUIRE(scene.metrics.plans_refused == 0);
}

namespace {

/// A scheduler that only throws.
class Thrower final : public Scheduler {
public:
    std::string_view name() const override { return "thrower"; }
    void plan(const SchedulerView&, StepPlan& plan) override {
        plan.decode.push_back({SequenceId(99), {}});
        throw std::runtime_error("no plan today");
    }
    void observe(const PartReport&) override { throw 5; }
};

}  // namespace

TEST_CASE("a scheduler that throws has its plan refused and the built-in policy plans instead") {
    Scene scene;
    Planner planner(std::make_unique<Thrower>(), Log());
    const StepPlan plan = planner.next(
        scene.view,
        [&](SequenceId id) { return id == scene.sequence.id ? &scene.sequence : nullptr; }, false);
    planner.fill_metrics(scene.metrics);
    REQUIRE(plan.decode.size() == 1);
    REQUIRE(plan.decode[0].sequence == scene.sequence.id);
    REQUIRE(scene.metrics.plans_refused == 1);
    REQUIRE(scene.metrics.plans_by_fallback == 1);
    CHECK_NOTHROW(planner.observe(PartReport{}));
}

namespace {

class TestClock final : public Clock {
public:
    std::int64_t now_us() const override { return now; }
    std::int64_t now = 0;
};

class KeptLines final : public LogSink {
public:
    void write(LogLevel level, std::string_view line) override {
        if (level == LogLevel::warning) lines.emplace_back(line);
    }
    std::vector<std::string> lines;
};

/// A scheduler whose calls take the time that the test gives. While it plans it calls `meanwhile`.
class SlowScheduler final : public Scheduler {
public:
    explicit SlowScheduler(TestClock& clock) : clock_(clock) {}
    std::string_view name() const override { return "slow"; }
    void plan(const SchedulerView&, StepPlan&) override {
        clock_.now += plan_us;
        if (meanwhile) meanwhile();
    }
    void observe(const PartReport&) override { clock_.now += observe_us; }

    std::int64_t plan_us = 0;
    std::int64_t observe_us = 0;
    std::function<void()> meanwhile;

private:
    TestClock& clock_;
};

struct SlowScene {
    SlowScene() {
        auto made = std::make_unique<SlowScheduler>(clock);
        scheduler = made.get();
        planner = std::make_unique<Planner>(std::move(made), Log(&log, LogLevel::info), &watch);
    }
    void plan() {
        planner->next(
            scene.view, [](SequenceId) { return nullptr; }, true);
    }
    TestClock clock;
    KeptLines log;
    Scene scene;
    PlanWatch watch{clock, Log(&log, LogLevel::info)};
    SlowScheduler* scheduler = nullptr;
    std::unique_ptr<Planner> planner;
};

}  // namespace

TEST_CASE(
    "a plan that takes more than a second is told with scheduler and time, but not too often") {
    SlowScene slow;
    slow.scheduler->plan_us = limits::kSlowPlanUs;
    slow.plan();
    CHECK(slow.log.lines.empty());
    slow.scheduler->plan_us = 1'500'000;
    slow.plan();
    REQUIRE(slow.log.lines.size() == 1);
    CHECK(slow.log.lines[0] ==
          "scheduler 'slow' took 1.5 s to plan a step; the head did nothing else meanwhile");
    slow.plan();
    CHECK(slow.log.lines.size() == 1);
    slow.clock.now += limits::kSlowPlanLogUs;
    slow.plan();
    CHECK(slow.log.lines.size() == 2);
}

TEST_CASE("a scheduler that takes long to observe a part is told") {
    SlowScene slow;
    slow.scheduler->observe_us = 2'000'000;
    slow.planner->observe(PartReport{});
    REQUIRE(slow.log.lines.size() == 1);
    CHECK(slow.log.lines[0].find("scheduler 'slow' took 2.0 s to observe a part") == 0);
}

TEST_CASE("a scheduler that does not return is told while it plans") {
    SlowScene slow;
    slow.watch.look();
    slow.scheduler->meanwhile = [&] {
        slow.watch.look();
        CHECK(slow.log.lines.empty());
        slow.clock.now += 1'200'000;
        slow.watch.look();
        slow.watch.look();
        slow.clock.now += limits::kSlowPlanLogUs;
        slow.watch.look();
    };
    slow.plan();
    REQUIRE(slow.log.lines.size() == 3);
    CHECK(slow.log.lines[0].find(
              "scheduler 'slow' was asked 1.2 s ago to plan a step and has not returned") == 0);
    CHECK(slow.log.lines[1].find("was asked 6.2 s ago") != std::string::npos);
    CHECK(slow.log.lines[2].find("took 6.2 s to plan a step") != std::string::npos);
    slow.watch.look();
    CHECK(slow.log.lines.size() == 3);
}
