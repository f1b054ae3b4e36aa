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

/// Checks everything that callers are told: tokens, text and logit hashes against the oracle, the
/// number of log-probabilities, exactly one end per completion and per request, and that errors
/// have a reason. Keeps the first violation. Thread: one.
class EventChecker {
public:
    /// `justified` returns whether a fault explains an error text.
    EventChecker(const FoldLayers& layers, std::function<bool(const std::string&)> justified)
        : layers_(layers), justified_(std::move(justified)) {}

    void add(RequestId id, const GenerateRequest& request);
    void add_event(const RequestEvent& event);
    /// Returns a text about the first request that has not ended, or an empty text.
    std::string unfinished() const;

    /// The first violation, or empty.
    const std::string& failure() const { return failure_; }
    const SimCounts& counts() const { return counts_; }
    /// Covers every event so far, in order.
    std::uint64_t digest() const { return digest_; }
    bool ended(RequestId id) const { return !requests_.contains(id); }
    /// Returns the prompt and the output so far of a running request that `random` chooses, or
    /// nothing when no running request has output.
    std::vector<Token> running_tokens(std::uint64_t random) const;
    /// Returns the same for the first completion of `id`, or nothing when the request has ended.
    std::vector<Token> tokens_of(RequestId id) const;
    /// Returns the token that a completion must have at a position, which counts from the start of
    /// the prompt. Returns nothing when the output has no such position.
    std::optional<Token> expected_token(RequestId id, std::int32_t index, std::int32_t position);
    /// Makes every error from now on a violation.
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
    bool is_expected_fault(const RequestEvent& event, Request& request);
    void check_hashes(const RequestEvent& event, const Expected& expected);
    void count_end(const RequestEvent& event, const Request& request);

    FoldLayers layers_;
    std::function<bool(const std::string&)> justified_;
    std::map<RequestId, Request> requests_;  // those that have not ended
    std::string failure_;
    SimCounts counts_;
    std::uint64_t digest_ = 0;
    bool errors_forbidden_ = false;
};

/// Checks the plans of a built-in scheduler: no sequence may wait while a later one that has as
/// much or more left to prefill is admitted. Passes everything on.
class WatchedScheduler final : public Scheduler {
public:
    /// `failure` gets the first violation and must outlive the scheduler.
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
