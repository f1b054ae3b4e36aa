#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <molink/scheduler.h>
#include <molink/study.h>

#include "engine/engine_core.h"
#include "sim/sim_network.h"
#include "sim/study_load.h"

namespace molink::sim {

/// Records when each token of each request arrived. Requests have ids from 1, in the order of the
/// load.
class TokenMeter {
public:
    /// `times`: whether fill() also reports the time of each token.
    TokenMeter(const std::vector<PlannedLoad>& load, bool times);

    void submitted(std::size_t index, std::int64_t now_us) { requests_[index].arrival_us = now_us; }
    void add_event(const RequestEvent& event, std::int64_t now_us);
    std::size_t ended() const { return ended_; }
    /// Returns a text about the first request that ended without all its tokens, or an empty text.
    const std::string& failure() const { return failure_; }
    /// Fills in the times and counts of a report. `begin_us`: the first arrival. Call it once.
    void fill(StudyReport& report, std::int64_t begin_us);

private:
    struct Request {
        std::int32_t wanted = 0;
        std::int32_t tokens = 0;
        std::int64_t arrival_us = 0;
        std::int64_t first_us = 0;
        std::int64_t last_us = 0;
        std::uint64_t digest = 0;
    };
    void end(const RequestEvent& event, Request& request);

    std::vector<Request> requests_;
    bool keep_times_;
    std::vector<std::vector<std::int64_t>> times_us_;  // [requests] when kept
    std::vector<double> gaps_us_;
    std::uint64_t digest_ = 0;
    std::size_t ended_ = 0;
    std::string failure_;
};

/// Sums of what a scheduler was told and planned.
struct SchedulerMeter {
    std::int64_t decode_us = 0;   ///< decode parts: sum of launch to retirement
    std::int64_t prefill_us = 0;  ///< the same of prefill parts
    std::uint64_t plans = 0;      ///< that were not empty
};

/// Passes everything on, and fills in a SchedulerMeter, which must outlive it.
class MeteredScheduler final : public Scheduler {
public:
    MeteredScheduler(std::unique_ptr<Scheduler> inner, SchedulerMeter& meter)
        : inner_(std::move(inner)), meter_(meter) {}

    std::string_view name() const override { return inner_->name(); }
    void plan(const SchedulerView& view, StepPlan& plan) override {
        inner_->plan(view, plan);
        if (!plan.empty()) ++meter_.plans;
    }
    void observe(const PartReport& report) override;

private:
    std::unique_ptr<Scheduler> inner_;
    SchedulerMeter& meter_;
};

/// Collects the bars of a timeline between two times. Adjacent frames of a lane become one bar.
class TimelineRecorder {
public:
    void begin(std::int64_t begin_us, std::int64_t end_us) {
        begin_us_ = begin_us;
        end_us_ = end_us;
    }
    void part(const std::string& node, PartKind kind, std::int32_t rows, std::int64_t begin_us,
              std::int64_t end_us);
    void frame(const SentFrame& sent);
    void request(const std::string& head, std::uint64_t number, std::int64_t begin_us,
                 std::int64_t end_us);
    /// Returns the bars. Call it once.
    std::vector<TimelineEvent> release();

private:
    struct Burst {
        TimelineEvent event;
        Lane lane = Lane::control;
        std::size_t bytes = 0;
    };
    void add(TimelineEvent event);
    void flush(Burst& burst);

    std::int64_t begin_us_ = 0;
    std::int64_t end_us_ = 0;
    std::map<std::pair<std::string, std::string>, Burst> bursts_;
    std::vector<TimelineEvent> events_;
};

}  // namespace molink::sim
