// Runs one scenario: requests arrive, faults happen, nodes run, and checkers check. Things break in
// the safety phase. Then everything is healed and the liveness phase begins, in which the requests
// that are left and a few new ones must end.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>

#include <molink/sim.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/seconds.h"
#include "kv/capacity.h"
#include "sim/drafting_scheduler.h"
#include "sim/fold.h"
#include "sim/sim_checker.h"
#include "sim/sim_cluster.h"
#include "sim/sim_faults.h"
#include "sim/sim_workload.h"

namespace molink {

SimCounts& SimCounts::operator+=(const SimCounts& other) {
    requests += other.requests;
    completions += other.completions;
    tokens += other.tokens;
    refused += other.refused;
    failed += other.failed;
    row_faults += other.row_faults;
    cancelled += other.cancelled;
    cancelled_in_flight += other.cancelled_in_flight;
    preemptions += other.preemptions;
    prefix_hits += other.prefix_hits;
    drafts += other.drafts;
    stop_strings += other.stop_strings;
    epoch_changes += other.epoch_changes;
    for (std::size_t i = 0; i < kSimFaultKinds; ++i) faults[i] += other.faults[i];
    frames += other.frames;
    frames_late += other.frames_late;
    frames_twice += other.frames_twice;
    resent_bytes += other.resent_bytes;
    parts += other.parts;
    return *this;
}

namespace sim {
namespace {

/// New requests of the liveness phase. They meet no fault, so they must succeed.
constexpr std::int32_t kFinalRequests = 3;
/// Turns between two self-checks of the block accounts.
constexpr std::int64_t kTurnsPerCheck = 16;

class World final : public RequestEventSink {
public:
    World(const SimScenario& scenario, const SimPolicies& policies);
    SimReport run();

    void on_request_event(RequestEvent event) override;

private:
    using Action = std::function<void()>;
    void at(std::int64_t time_us, Action action) { actions_.emplace(time_us, std::move(action)); }
    SimPolicies wrap(const SimPolicies& policies);
    void schedule_requests();
    void schedule_faults();
    void begin(const SimFault& fault);
    void end(const SimFault& fault);
    void submit(std::int64_t cancel_after_us);
    void submit_request(const GenerateRequest& request, std::int64_t cancel_after_us);
    void cancel(RequestId id);
    void restart_finished();
    void heal();
    void fail(const std::string& what);
    bool failed() const;
    bool advance(std::int64_t until_us);
    void watch_epochs();
    void check_blocks();
    void check_rest();
    bool run_liveness();
    SimReport report() const;

    const SimScenario scenario_;
    const bool own_scheduler_;
    SimPolicies policies_;
    FaultLog faults_;
    std::string failure_;
    std::string unfair_;
    EventChecker checker_;
    RequestMaker maker_;
    SimCluster cluster_;
    std::multimap<std::int64_t, Action> actions_;
    /// cancel_after_us of the requests that wait for output to continue.
    std::deque<std::int64_t> follow_ups_;
    SimCounts counts_;
    std::uint64_t next_request_ = 1;
    std::int64_t turns_ = 0;
    std::uint32_t epoch_ = 0;
    std::uint64_t changes_ = 0;
    std::string last_error_;
};

/// Returns the policies of the run. A built-in scheduler is watched. Drafts are added to the plans
/// when the scenario asks for them.
SimPolicies World::wrap(const SimPolicies& policies) {
    SimPolicies result = policies;
    result.scheduler = [this, policies]() -> std::unique_ptr<Scheduler> {
        std::unique_ptr<Scheduler> scheduler = make_scheduler(scenario_, policies);
        if (!own_scheduler_) {  // a caller's policy may admit in another order
            scheduler = std::make_unique<WatchedScheduler>(std::move(scheduler), unfair_);
        }
        if (scenario_.drafts <= 0) return scheduler;
        return std::make_unique<DraftingScheduler>(
            std::move(scheduler),
            [this](RequestId request, std::int32_t completion, std::int32_t position) {
                return checker_.expected_token(request, completion, position);
            },
            scenario_.drafts, counts_.drafts);
    };
    return result;
}

World::World(const SimScenario& scenario, const SimPolicies& policies)
    : scenario_(scenario),
      own_scheduler_(static_cast<bool>(policies.scheduler)),
      policies_(wrap(policies)),
      faults_(scenario_),
      checker_(
          {scenario_.layers, scenario_.overflows},
          [this](const std::string& text) { return faults_.explains(text, cluster_.clock.now); }),
      maker_(scenario_),
      cluster_(scenario_, policies_, *this) {
    schedule_requests();
    schedule_faults();
}

void World::fail(const std::string& what) {
    if (failure_.empty()) {
        failure_ = fmt::format("at {:.6f} s: {}", seconds(cluster_.clock.now), what);
    }
}

bool World::failed() const {
    return !failure_.empty() || !checker_.failure().empty() || !unfair_.empty();
}

void World::schedule_requests() {
    for (const PlannedRequest& planned : plan_requests(scenario_)) {
        at(planned.arrival_us, [this, planned] { submit(planned.cancel_after_us); });
    }
}

void World::submit(std::int64_t cancel_after_us) {
    if (!maker_.wants_follow_up()) {
        submit_request(maker_.make({}), cancel_after_us);
    } else if (maker_.below(2) == 0) {
        follow_ups_.push_back(cancel_after_us);  // submitted when the next token is delivered
    } else {
        submit_request(maker_.make(checker_.running_tokens(maker_.below(1u << 30))),
                       cancel_after_us);
    }
}

void World::on_request_event(RequestEvent event) {
    checker_.add_event(event);
    if (follow_ups_.empty() || event.tokens.empty() || checker_.ended(event.request)) return;
    const std::int64_t cancel_after_us = follow_ups_.front();
    follow_ups_.pop_front();
    // Not from inside the engine, so that the running request's next token is launched first.
    at(cluster_.clock.now, [this, id = event.request, cancel_after_us] {
        submit_request(maker_.make(checker_.tokens_of(id)), cancel_after_us);
    });
}

void World::submit_request(const GenerateRequest& request, std::int64_t cancel_after_us) {
    AdmittedRequest admitted;
    admitted.id = RequestId(next_request_++);
    admitted.prompt = request.prompt_tokens;
    admitted.max_tokens = request.max_tokens;
    admitted.min_tokens = request.min_tokens;
    admitted.n = request.n;
    admitted.ignore_eos = request.ignore_eos;
    admitted.stop_tokens = request.stop_tokens;
    admitted.stop = request.stop;
    admitted.logprobs = request.logprobs;
    admitted.sampling = request.sampling;
    admitted.hash_logits = request.hash_logits;
    admitted.submitted_us = cluster_.clock.now;
    const RequestId id = admitted.id;
    const Status submitted = cluster_.core().submit(std::move(admitted), cluster_.clock.now);
    if (!submitted.ok()) {
        ++counts_.refused;
        const Pipeline& pipeline = cluster_.head().pipeline();
        const auto positions =
            std::ssize(request.prompt_tokens) + static_cast<std::ptrdiff_t>(request.max_tokens);
        const bool reason = submitted.code() == StatusCode::resource_exhausted ||
                            (submitted.code() == StatusCode::unavailable &&
                             pipeline.state() != EngineState::ready) ||
                            (submitted.code() == StatusCode::invalid_argument &&
                             blocks_for(positions, scenario_.block_tokens) > pipeline.kv_blocks());
        if (!reason) fail("the engine refused a request without reason: " + submitted.to_string());
        return;
    }
    checker_.add(id, request);
    cluster_.wake_head();
    if (cancel_after_us >= 0) at(cluster_.clock.now + cancel_after_us, [this, id] { cancel(id); });
}

void World::cancel(RequestId id) {
    if (checker_.ended(id)) return;
    EngineCore& core = cluster_.core();
    const std::size_t before = core.ended_in_flight();
    core.cancel(id, Status(StatusCode::cancelled, "cancelled by the caller"), cluster_.clock.now);
    if (core.ended_in_flight() > before) ++counts_.cancelled_in_flight;
    if (!checker_.ended(id)) fail(fmt::format("request {} goes on after its cancel", id.value));
    cluster_.wake_head();
}

void World::schedule_faults() {
    for (const SimFault& fault : scenario_.faults) {
        at(fault.at_us, [this, &fault] { begin(fault); });
        at(fault.at_us + fault.duration_us, [this, &fault] { end(fault); });
    }
}

void World::begin(const SimFault& fault) {
    const std::int64_t until = cluster_.clock.now + fault.duration_us;
    ++counts_.faults[static_cast<std::size_t>(fault.kind)];
    switch (fault.kind) {
        case SimFaultKind::crash: cluster_.stop_worker(fault.node, false); return;
        case SimFaultKind::vanish: cluster_.stop_worker(fault.node, true); return;
        case SimFaultKind::freeze: cluster_.freeze(fault.node, until); return;
        case SimFaultKind::slow: cluster_.set_slowness(fault.node, fault.factor); return;
        case SimFaultKind::stall: cluster_.network.stall(fault.node, fault.other, until); return;
        case SimFaultKind::cut: cluster_.network.cut(fault.node, fault.other, until); return;
        case SimFaultKind::disorder:
            cluster_.network.disorder(fault.node, fault.other, until);
            return;
        case SimFaultKind::damage: cluster_.set_damaged(fault.node, true); return;
        case SimFaultKind::hang: cluster_.set_hanging(fault.node, true); return;
        case SimFaultKind::swallow: cluster_.set_swallowing(fault.node, true); return;
    }
}

void World::end(const SimFault& fault) {
    if (fault.kind == SimFaultKind::slow) cluster_.set_slowness(fault.node, 1);
    if (fault.kind == SimFaultKind::damage) cluster_.set_damaged(fault.node, false);
    if (fault.kind == SimFaultKind::hang) cluster_.set_hanging(fault.node, false);
    if (fault.kind == SimFaultKind::swallow) cluster_.set_swallowing(fault.node, false);
    const bool gone = fault.kind == SimFaultKind::crash || fault.kind == SimFaultKind::vanish;
    if (gone && !cluster_.has_worker(fault.node)) cluster_.start_worker(fault.node);
}

/// Starts workers that have ended again, as their operator would.
void World::restart_finished() {
    for (const std::string& name : cluster_.finished_workers()) {
        cluster_.stop_worker(name, false);
        at(cluster_.clock.now + 500'000, [this, name] {
            if (!cluster_.has_worker(name)) cluster_.start_worker(name);
        });
    }
}

/// Checks that a fault explains each error that the head reports, and counts epochs.
void World::watch_epochs() {
    HeadNode& head = cluster_.head();
    if (head.change_count() == changes_) return;
    changes_ = head.change_count();
    const ClusterView view = head.view();
    if (view.last_error != last_error_ && !view.last_error.empty() &&
        !faults_.explains(view.last_error, cluster_.clock.now)) {
        fail("no fault explains the error that the head reports: " + view.last_error);
    }
    last_error_ = view.last_error;
    if (view.state == EngineState::ready && view.epoch != epoch_) {
        if (epoch_ != 0) ++counts_.epoch_changes;
        epoch_ = view.epoch;
    }
}

void World::check_blocks() {
    const Status checked = cluster_.core().check();
    if (!checked.ok()) fail(checked.to_string());
    const std::string violation = cluster_.violation();
    if (!violation.empty()) fail(violation);
}

/// Runs until `until_us`. Returns false when something failed.
bool World::advance(std::int64_t until_us) {
    std::int64_t at_once = 0;
    while (!failed()) {
        const std::int64_t action = actions_.empty() ? kNever : actions_.begin()->first;
        const std::int64_t next = std::min(action, cluster_.next_event_us());
        if (next > until_us) {
            cluster_.clock.now = until_us;
            return true;
        }
        at_once = next > cluster_.clock.now ? 0 : at_once + 1;
        if (at_once > limits::kMaxTurnsAtOnce) {
            fail(fmt::format("nodes ran {} times while time stood still", at_once));
        }
        cluster_.clock.now = std::max(cluster_.clock.now, next);
        while (!actions_.empty() && actions_.begin()->first <= cluster_.clock.now) {
            Action due = std::move(actions_.extract(actions_.begin()).mapped());
            due();
        }
        cluster_.step();
        watch_epochs();
        restart_finished();
        if (++turns_ % kTurnsPerCheck == 0) check_blocks();
    }
    return false;
}

void World::heal() {
    for (const SimNode& node : scenario_.nodes) cluster_.set_slowness(node.name, 1);
    for (std::int64_t cancel_after_us : follow_ups_)
        submit_request(maker_.make({}), cancel_after_us);
    follow_ups_.clear();
}

bool World::run_liveness() {
    const std::int64_t end = cluster_.clock.now + scenario_.liveness_us;
    constexpr std::int64_t kStepUs = 500'000;
    const auto until = [&](const std::function<bool()>& done) {
        while (!done() && cluster_.clock.now < end) {
            if (!advance(cluster_.clock.now + kStepUs)) return false;
        }
        return done();
    };
    // The faults may still have consequences: time-outs expire and nodes rejoin.
    if (!advance(cluster_.clock.now + scenario_.node_lost_after_us +
                 2 * scenario_.reconnect_within_us)) {
        return false;
    }
    if (!until([&] { return cluster_.core().serving() && checker_.unfinished().empty(); })) {
        if (!failed()) {
            const std::string left = checker_.unfinished();
            fail(left.empty() ? "no pipeline serves although nothing is broken: " +
                                    cluster_.head().view().missing
                              : "a request has not ended although nothing is broken: " + left);
        }
        return false;
    }
    checker_.forbid_errors();
    for (std::int32_t i = 0; i < kFinalRequests; ++i) submit_request(maker_.make({}), -1);
    if (!until([&] { return checker_.unfinished().empty(); })) {
        if (!failed()) fail("a request of the liveness phase goes on: " + checker_.unfinished());
        return false;
    }
    return true;
}

void World::check_rest() {
    EngineCore& core = cluster_.core();
    if (!advance(cluster_.clock.now + 5'000'000)) return;  // for the last records to reach the head
    check_blocks();
    MetricsSnapshot metrics;
    core.fill_metrics(metrics);
    if (core.in_flight_parts() > 0) {
        fail(fmt::format("{} parts were never retired", core.in_flight_parts()));
    }
    if (metrics.running != 0 || metrics.waiting != 0 || core.ended_in_flight() != 0) {
        fail(fmt::format("{} sequences run, {} wait and {} have parts under way at the end",
                         metrics.running, metrics.waiting, core.ended_in_flight()));
    }
    if (metrics.kv_blocks_free != metrics.kv_blocks_total) {
        fail(fmt::format("{} of {} KV blocks are free at the end", metrics.kv_blocks_free,
                         metrics.kv_blocks_total));
    }
    if (cluster_.known_sequences() > core.pending_releases()) {
        fail(fmt::format("a stage knows {} sequences at the end; {} are about to be released",
                         cluster_.known_sequences(), core.pending_releases()));
    }
    if (metrics.plans_refused > 0 && !own_scheduler_) {
        fail(fmt::format("{} plans were refused", metrics.plans_refused));
    }
}

SimReport World::report() const {
    SimReport report;
    report.failure =
        failure_.empty() ? (checker_.failure().empty() ? unfair_ : checker_.failure()) : failure_;
    report.counts = checker_.counts();
    report.counts += counts_;
    report.end_us = cluster_.clock.now;
    report.digest = checker_.digest();
    return report;
}

SimReport World::run() {
    if (advance(scenario_.safety_us)) {
        heal();
        if (run_liveness()) check_rest();
    }
    SimReport result = report();
    cluster_.core().fill_metrics(result.metrics);
    result.counts.preemptions = result.metrics.preemptions;
    result.counts.prefix_hits = result.metrics.prefix_hits;
    result.counts.parts = cluster_.core().launched_parts();
    result.counts.frames = cluster_.network.frames();
    result.counts.frames_late = cluster_.network.frames_late();
    result.counts.frames_twice = cluster_.network.frames_twice();
    result.counts.resent_bytes = cluster_.resent_bytes();
    return result;
}

}  // namespace
}  // namespace sim

Result<SimReport> simulate(const SimScenario& scenario, const SimPolicies& policies) {
    MOLINK_RETURN_IF_ERROR(check_scenario(scenario));
    return sim::World(scenario, policies).run();
}

}  // namespace molink
