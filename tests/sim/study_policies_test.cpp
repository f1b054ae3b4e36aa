// Tests studies under a caller's own policies: reports name them, and say how often the built-in
// policy had to step in. Also tests intervals of means, and reports as CSV.
#include <array>
#include <string>

#include <molink/study.h>

#include "support/catch.h"

using namespace molink;

namespace {

StudyCase three_nodes() {
    StudyCase study;
    for (const char* name : {"head", "first", "second"}) {
        StudyNode node;
        node.name = name;
        node.device = *device_profile("rtx-4090");
        study.cluster.nodes.push_back(node);
    }
    study.workload.burst = study.workload.count = 6;
    study.workload.prompt = {{0, 64}};
    study.workload.output = {{0, 8}};
    return study;
}

StudyReport run(const StudyCase& study, const SimPolicies& policies = {}) {
    const auto report = run_study(study.cluster, study.workload, study.options, policies);
    INFO(report.status().to_string());
    REQUIRE(report.has_value());
    INFO(report->failure);
    REQUIRE(report->failure.empty());
    return *report;
}

/// Plans what the adaptive scheduler plans, under another name.
class Named final : public Scheduler {
public:
    std::string_view name() const override { return "mine"; }
    void plan(const SchedulerView& view, StepPlan& plan) override { inner_->plan(view, plan); }
    void observe(const PartReport& report) override { inner_->observe(report); }

private:
    std::unique_ptr<Scheduler> inner_ = make_adaptive_scheduler();
};

/// Never plans anything.
class Idle final : public Scheduler {
public:
    std::string_view name() const override { return "idle"; }
    void plan(const SchedulerView&, StepPlan&) override {}
};

/// Plans a sequence that does not exist.
class Wrong final : public Scheduler {
public:
    std::string_view name() const override { return "wrong"; }
    void plan(const SchedulerView&, StepPlan& plan) override {
        plan.prefill.push_back({SequenceId(1 << 30), 1});
    }
};

/// Puts all layers on the head.
class HeadAlone final : public Partitioner {
public:
    std::string_view name() const override { return "head-alone"; }
    Result<PartitionPlan> partition(const PartitionInput& input) override {
        PartitionInput alone = input;
        alone.nodes.resize(1);
        return make_even_partitioner()->partition(alone);
    }
};

template <typename T>
SimPolicies with_scheduler() {
    SimPolicies policies;
    policies.scheduler = [] { return std::make_unique<T>(); };
    return policies;
}

}  // namespace

TEST_CASE("a caller's scheduler is reported under its name") {
    const StudyCase study = three_nodes();
    const StudyReport mine = run(study, with_scheduler<Named>());
    const StudyReport adaptive = run(study);
    REQUIRE(mine.scheduler == "mine");
    REQUIRE(adaptive.scheduler == "adaptive");
    REQUIRE(mine.digest == adaptive.digest);
    REQUIRE(mine.plans > 0);
    REQUIRE(mine.plans_refused == 0);
    REQUIRE(mine.plans_by_fallback == 0);
}

TEST_CASE("steps that the built-in policy plans are counted") {
    const StudyCase study = three_nodes();
    const StudyReport idle = run(study, with_scheduler<Idle>());
    REQUIRE(idle.scheduler == "idle");
    REQUIRE(idle.plans == 0);
    REQUIRE(idle.plans_refused == 0);
    REQUIRE(idle.plans_by_fallback > 0);
    const StudyReport wrong = run(study, with_scheduler<Wrong>());
    REQUIRE(wrong.plans_refused > 0);
    REQUIRE(wrong.plans == wrong.plans_refused);
    REQUIRE(wrong.plans_by_fallback > 0);
    REQUIRE(study_json({wrong}).find("\"plans_by_fallback\"") != std::string::npos);
}

TEST_CASE("partitioner and cluster policy are chosen by name or come with the study") {
    StudyCase study = three_nodes();
    study.cluster.split = "even";
    study.cluster.membership = "seed";
    const StudyReport named = run(study);
    REQUIRE(named.partitioner == "even");
    REQUIRE(named.cluster == "seed");
    REQUIRE(named.stages.size() == 3);
    SimPolicies policies;
    policies.partitioner = [] { return std::make_unique<HeadAlone>(); };
    policies.cluster = [] { return make_seed_cluster(3); };
    policies.transmit = [] { return *make_transmit_policy("strict"); };
    study.cluster.membership = "static";
    const StudyReport own = run(study, policies);
    REQUIRE(own.partitioner == "head-alone");
    REQUIRE(own.cluster == "seed");
    REQUIRE(own.transmit == "strict");
    REQUIRE(own.stages.size() == 1);
    study.cluster.membership = "club";
    REQUIRE(!run_study(study.cluster, study.workload, study.options).has_value());
}

TEST_CASE("Student's interval of a mean") {
    const std::array<double, 1> one{7};
    REQUIRE(mean_interval(one).mean == 7);
    REQUIRE(mean_interval(one).half == 0);
    // s = 1, so t / sqrt(3) with two degrees of freedom.
    const std::array<double, 3> three{1, 2, 3};
    REQUIRE(mean_interval(three).mean == Approx(2));
    REQUIRE(mean_interval(three).half == Approx(4.3027 / std::sqrt(3.0)).epsilon(1e-4));
    // With nine degrees of freedom t is 2.2622; s of 1 .. 10 is 3.02765.
    const std::array<double, 10> ten{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    REQUIRE(mean_interval(ten).half == Approx(2.2622 * 3.02765 / std::sqrt(10.0)).epsilon(1e-3));
}

TEST_CASE("reports as CSV") {
    StudyReport report;
    report.scheduler = "mine, \"quoted\"";
    report.seed = 3;
    report.output_tokens_per_s = 12.5;
    const std::string text = study_csv({report, report});
    REQUIRE(std::count(text.begin(), text.end(), '\n') == 3);
    REQUIRE(text.starts_with("model,weights,scheduler,"));
    REQUIRE(text.find(",\"mine, \"\"quoted\"\"\",") != std::string::npos);
    REQUIRE(text.find(",12.5,") != std::string::npos);
    const auto columns = [&](std::size_t from) {
        return std::count(text.begin() + static_cast<std::ptrdiff_t>(from),
                          text.begin() + static_cast<std::ptrdiff_t>(text.find('\n', from)), ',');
    };
    REQUIRE(columns(0) + 1 == columns(text.find('\n') + 1));  // the name contains a comma
}
