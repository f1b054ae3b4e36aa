#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <molink/scheduler.h>

#include "base/random.h"

namespace molink::sim {

/// The token that a completion is expected to have at an absolute position; nothing behind its end.
using DraftOracle = std::function<std::optional<Token>(RequestId request, std::int32_t completion,
                                                       std::int32_t position)>;

/// Adds drafts to the decode runs that another scheduler plans, as a drafter would: up to eight a
/// run, as many as rows, blocks and positions permit. Most are right, some are made up, also in
/// front of right ones. Passes everything else on.
class DraftingScheduler final : public Scheduler {
public:
    /// `share`: of the runs that get drafts. `drafts` counts them and must outlive the scheduler.
    DraftingScheduler(std::unique_ptr<Scheduler> inner, DraftOracle oracle, double share,
                      std::uint64_t& drafts)
        : inner_(std::move(inner)), oracle_(std::move(oracle)), share_(share), drafts_(drafts) {}

    std::string_view name() const override { return inner_->name(); }
    void plan(const SchedulerView& view, StepPlan& plan) override;
    void observe(const PartReport& report) override { inner_->observe(report); }

private:
    Token draft(const SchedulerView& view, const SequenceView& sequence, std::int32_t position,
                Random& random) const;

    std::unique_ptr<Scheduler> inner_;
    DraftOracle oracle_;
    double share_;
    std::uint64_t& drafts_;
};

}  // namespace molink::sim
