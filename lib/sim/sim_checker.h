#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <molink/request.h>
#include <molink/scheduler.h>
#include <molink/sim.h>

#include "sim/fold.h"

namespace molink::sim {

/// Looks at everything callers are told: tokens, text, log-probabilities and hashes against the
/// oracle, order, exactly one end per completion and per request, errors only for a reason. Keeps
/// the first violation.
class EventChecker {
public:
    /// `justified` says whether an error text names something that really went wrong.
    EventChecker(std::int32_t layers, std::function<bool(const std::string&)> justified)
        : layers_(layers), justified_(std::move(justified)) {}

    void add(RequestId id, const GenerateRequest& request);
    void add_event(const RequestEvent& event);
    /// Everything that was added has ended. The first that has not, else empty.
    std::string unfinished() const;

    const std::string& failure() const { return failure_; }
    const SimCounts& counts() const { return counts_; }
    std::uint64_t digest() const { return digest_; }
    bool ended(RequestId id) const { return !requests_.contains(id); }
    /// Prompt and output so far of a request that goes on, chosen by `random`; empty when none
    /// does.
    std::vector<Token> running_tokens(std::uint64_t random) const;
    /// Those of one request's first completion; empty when it has ended.
    std::vector<Token> tokens_of(RequestId id) const;
    /// The token that a completion must have at an absolute position; nothing where it has none.
    std::optional<Token> expected_token(RequestId id, std::int32_t index, std::int32_t position);
    /// From now on errors are violations whatever they say.
    void forbid_errors() { errors_forbidden_ = true; }

private:
    struct Completion {
        std::optional<Expected> expected;
        std::vector<Token> tokens;
        std::string text;
        bool ended = false;
    };
    struct Request {
        GenerateRequest request;
        std::vector<Completion> completions;
        std::int32_t ended = 0;
    };

    const Expected& expected_of(const Request& request, Completion& completion) const;
    void fail(RequestId id, std::int32_t index, const std::string& what);
    void check_piece(const RequestEvent& event, Request& request, Completion& completion);
    void check_end(const RequestEvent& event, Request& request, Completion& completion);
    void check_hashes(const RequestEvent& event, const Expected& expected);
    void count_end(const RequestEvent& event, const Request& request);

    std::int32_t layers_;
    std::function<bool(const std::string&)> justified_;
    std::map<RequestId, Request> requests_;  // not ended; an ended one is unknown
    std::string failure_;
    SimCounts counts_;
    std::uint64_t digest_ = 0;
    bool errors_forbidden_ = false;
};

/// Looks at the plans of a built-in scheduler: nobody waits while a later one is admitted that has
/// not less to prefill. Passes everything on.
class WatchedScheduler final : public Scheduler {
public:
    WatchedScheduler(std::unique_ptr<Scheduler> inner, std::string& failure)
        : inner_(std::move(inner)), failure_(failure) {}

    std::string_view name() const override { return inner_->name(); }
    void plan(const SchedulerView& view, StepPlan& plan) override;
    void observe(const PartReport& report) override { inner_->observe(report); }

private:
    std::unique_ptr<Scheduler> inner_;
    std::string& failure_;
};

}  // namespace molink::sim
