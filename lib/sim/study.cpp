// Runs one study: the cluster comes up, requests arrive, and nodes run until the last request has
// its last token. Nothing breaks here, so a request that ends otherwise shows a defect of the study
// or of the code, and the report says so.
#include <algorithm>

#include <molink/study.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/random.h"
#include "sim/fold.h"
#include "sim/study_meter.h"
#include "sim/study_setup.h"

namespace molink {
namespace sim {
namespace {

/// Limits of virtual time, for a pipeline to come up and for a whole study.
constexpr std::int64_t kServeWithinUs = 600'000'000;
constexpr std::int64_t kLongestUs = 100'000'000'000'000;

class StudyRun final : public RequestEventSink {
public:
    StudyRun(StudySetup setup, const StudyCluster& cluster, const StudyWorkload& workload,
             const StudyOptions& options, const SimPolicies& policies);
    Result<StudyReport> run();

    void on_request_event(RequestEvent event) override;

private:
    SimPolicies watched(const SimPolicies& policies);
    void observe();
    Status serve();
    std::int64_t next_arrival_us() const;
    void submit_due();
    bool turn();
    void fail(const std::string& what);
    void fill_use(StudyReport& report);
    StudyReport report();

    struct PolicyNames {
        std::string scheduler;
        std::string transmit;
        std::string partitioner;
        std::string cluster;
    };

    StudySetup setup_;
    const StudyOptions& options_;
    PolicyNames names_;
    std::uint64_t seed_;
    double poisson_per_s_;
    std::size_t streams_;  // 0: requests arrive at their own times
    double settle_s_;
    double stop_s_;
    std::vector<PlannedLoad> load_;
    TokenMeter meter_;
    SchedulerMeter planned_;
    TimelineRecorder timeline_;
    SimPolicies policies_;
    SimCluster cluster_;
    std::int64_t begin_us_ = 0;
    std::size_t next_ = 0;
    std::int64_t turns_at_once_ = 0;
    std::string failure_;
};

StudyRun::StudyRun(StudySetup setup, const StudyCluster& cluster, const StudyWorkload& workload,
                   const StudyOptions& options, const SimPolicies& policies)
    : setup_(std::move(setup)),
      options_(options),
      names_{options.scheduler, options.transmit, cluster.split, cluster.membership},
      seed_(workload.seed),
      poisson_per_s_(workload.trace.empty() ? workload.poisson_per_s : 0),
      streams_(static_cast<std::size_t>(closed_streams(workload))),
      settle_s_(workload.settle_s),
      stop_s_(workload.stop_s),
      load_(plan_load(workload)),
      meter_(load_, options.token_times),
      policies_(watched(policies)),
      cluster_(setup_.scenario, policies_, *this, &setup_.parts) {}

/// Returns the policies of the run. The scheduler is metered. A policy that the caller brings tells
/// its name when it is made.
SimPolicies StudyRun::watched(const SimPolicies& policies) {
    SimPolicies result = policies;
    result.scheduler = [this, policies] {
        auto scheduler = make_scheduler(setup_.scenario, policies);
        if (policies.scheduler) names_.scheduler = scheduler->name();
        return std::make_unique<MeteredScheduler>(std::move(scheduler), planned_);
    };
    const auto note = [](const auto& make, std::string& name) -> std::decay_t<decltype(make)> {
        if (!make) return {};
        return [make, &name] {
            auto policy = make();
            name = policy->name();
            return policy;
        };
    };
    result.transmit = note(policies.transmit, names_.transmit);
    result.partitioner = note(policies.partitioner, names_.partitioner);
    result.cluster = note(policies.cluster, names_.cluster);
    return result;
}

void StudyRun::observe() {
    if (options_.trace_limit_s <= 0) return;
    const auto limit = static_cast<std::int64_t>(options_.trace_limit_s * 1e6);
    timeline_.begin(begin_us_, begin_us_ + limit);
    cluster_.network.observer = [this](const SentFrame& sent) { timeline_.frame(sent); };
    for (auto& [name, node] : setup_.parts.nodes) {
        node.stage.observer = [this, &name = name](PartKind kind, std::int32_t rows,
                                                   std::int64_t begin_us, std::int64_t end_us) {
            timeline_.part(name, kind, rows, begin_us, end_us);
        };
    }
}

void StudyRun::fail(const std::string& what) {
    if (!failure_.empty()) return;
    const auto now = static_cast<double>(cluster_.clock.now - begin_us_);
    failure_ = fmt::format("after {:.6f} s: {}", now * 1e-6, what);
}

void StudyRun::on_request_event(RequestEvent event) {
    meter_.add_event(event, cluster_.clock.now);
    if (options_.trace_limit_s <= 0 || !event.last) return;
    const std::int64_t now = cluster_.clock.now;
    timeline_.request(setup_.scenario.nodes.front().name, event.request.value, now - event.total_us,
                      now);
}

/// Runs until the pipeline serves and settle_s is over. Errors: why no pipeline can serve.
Status StudyRun::serve() {
    while (!cluster_.core().serving()) {
        if (!cluster_.head().build_error().ok()) return cluster_.head().build_error();
        const std::int64_t next = cluster_.next_event_us();
        if (next > kServeWithinUs) {
            const ClusterView view = cluster_.head().view();
            return make_error(StatusCode::deadline_exceeded,
                              "no pipeline serves after {} virtual seconds: {} {}",
                              kServeWithinUs / 1'000'000, view.missing, view.last_error);
        }
        cluster_.clock.now = std::max(cluster_.clock.now, next);
        cluster_.step();
    }
    begin_us_ = cluster_.clock.now + static_cast<std::int64_t>(settle_s_ * 1e6);
    for (std::int64_t next = 0; next < begin_us_; next = cluster_.next_event_us()) {
        cluster_.clock.now = std::max(cluster_.clock.now, next);
        cluster_.step();
    }
    cluster_.clock.now = begin_us_;
    cluster_.network.forget_traffic();
    observe();
    return {};
}

std::int64_t StudyRun::next_arrival_us() const {
    if (next_ == load_.size()) return kNever;
    if (streams_ == 0) return begin_us_ + load_[next_].arrival_us;
    return next_ < meter_.ended() + streams_ ? cluster_.clock.now : kNever;
}

void StudyRun::submit_due() {
    while (next_arrival_us() <= cluster_.clock.now) {
        const PlannedLoad& planned = load_[next_];
        AdmittedRequest request;
        request.id = RequestId(next_ + 1);
        Random random(counter_random(seed_, next_));
        for (std::int32_t i = 0; i < planned.prompt_tokens; ++i) {
            request.prompt.push_back(static_cast<Token>(random.below(kFoldVocabulary)));
        }
        request.max_tokens = planned.output_tokens;
        request.ignore_eos = true;
        request.sampling.seed = seed_;
        request.submitted_us = cluster_.clock.now;
        meter_.submitted(next_, cluster_.clock.now);
        ++next_;
        const Status submitted = cluster_.core().submit(std::move(request), cluster_.clock.now);
        if (!submitted.ok()) fail(submitted.to_string());
        cluster_.wake_head();
    }
}

/// Advances to the next event. Returns false when the study is over.
bool StudyRun::turn() {
    if (meter_.ended() == load_.size() || !failure_.empty() || !meter_.failure().empty()) {
        return false;
    }
    const std::int64_t next = std::min(next_arrival_us(), cluster_.next_event_us());
    turns_at_once_ = next > cluster_.clock.now ? 0 : turns_at_once_ + 1;
    if (turns_at_once_ > limits::kMaxTurnsAtOnce) {
        const std::vector<std::string> gone = cluster_.finished_workers();
        fail(gone.empty() ? fmt::format("nodes ran {} times while time stood still", turns_at_once_)
                          : fmt::format("worker '{}' has ended", gone.front()));
    }
    if (next > kLongestUs) {
        fail(fmt::format("nothing is due any more, and only {} of {} requests have ended",
                         meter_.ended(), load_.size()));
    }
    if (stop_s_ > 0 && static_cast<double>(next - begin_us_) > stop_s_ * 1e6) return false;
    cluster_.clock.now = std::max(cluster_.clock.now, next);
    submit_due();
    cluster_.step();
    return true;
}

void StudyRun::fill_use(StudyReport& report) {
    const double time_us = std::max(report.seconds * 1e6, 1.0);
    const ClusterView view = cluster_.head().view();
    MetricsSnapshot metrics;
    cluster_.core().fill_metrics(metrics);
    for (std::size_t i = 0; i < metrics.stages.size() && i < view.stages.size(); ++i) {
        const StageMetrics& stage = metrics.stages[i];
        StageUse use;
        for (const NodeInfo& node : view.nodes) {
            if (node.id == view.stages[i]) use.node = node.name;
        }
        use.layers = stage.layers;
        use.busy = static_cast<double>(stage.compute_us) / time_us;
        use.parts = stage.parts;
        if (stage.parts > 0) {
            use.wait_us = static_cast<double>(stage.wait_us) / static_cast<double>(stage.parts);
        }
        report.stages.push_back(std::move(use));
    }
    for (const auto& [pair, traffic] : cluster_.network.traffic()) {
        LinkUse use{pair.first, pair.second, 0, {}, {}};
        for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
            use.lane_bytes[lane] = traffic.bytes[lane];
            use.lane_busy[lane] = static_cast<double>(traffic.busy_us[lane]) / time_us;
            use.busy += use.lane_busy[lane];
        }
        report.links.push_back(std::move(use));
    }
    report.decode_parts_in_flight = static_cast<double>(planned_.decode_us) / time_us;
    report.prefill_parts_in_flight = static_cast<double>(planned_.prefill_us) / time_us;
    report.max_micro_batches = metrics.max_micro_batches_in_flight;
    report.preemptions = metrics.preemptions;
    report.plans = planned_.plans;
    report.plans_refused = metrics.plans_refused;
    report.plans_by_fallback = metrics.plans_by_fallback;
    report.prompt_tokens = metrics.prompt_tokens;
    report.kv_blocks = metrics.kv_blocks_total;
}

StudyReport StudyRun::report() {
    StudyReport report;
    report.model = options_.model;
    report.weights = options_.weights;
    report.scheduler = names_.scheduler;
    report.transmit = names_.transmit;
    report.partitioner = names_.partitioner;
    report.cluster = names_.cluster;
    report.seed = seed_;
    report.wire = options_.wire;
    report.link = setup_.scenario.link;
    report.poisson_per_s = poisson_per_s_;
    report.failure = failure_;
    if (report.failure.empty()) report.failure = meter_.failure();
    if (report.failure.empty()) report.failure = cluster_.violation();
    meter_.fill(report, begin_us_);
    fill_use(report);
    report.frames = cluster_.network.frames();
    report.timeline = timeline_.release();
    return report;
}

Result<StudyReport> StudyRun::run() {
    MOLINK_RETURN_IF_ERROR(serve());
    while (turn()) {
    }
    return report();
}

}  // namespace
}  // namespace sim

Result<StudyReport> run_study(const StudyCluster& cluster, const StudyWorkload& workload,
                              const StudyOptions& options, const SimPolicies& policies) {
    MOLINK_RETURN_IF_ERROR(sim::check_workload(workload));
    std::int32_t longest = 0;
    for (const sim::PlannedLoad& planned : sim::plan_load(workload)) {
        longest = std::max(longest, planned.prompt_tokens + planned.output_tokens);
    }
    MOLINK_ASSIGN_OR_RETURN(auto setup,
                            sim::set_up_study(cluster, options, workload.seed, longest));
    return sim::StudyRun(std::move(setup), cluster, workload, options, policies).run();
}

}  // namespace molink
