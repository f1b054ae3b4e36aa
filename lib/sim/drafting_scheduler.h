#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include <molink/scheduler.h>

#include "base/random.h"

namespace molink::sim {

/// Returns the token that a completion must have at a position, which counts from the start of the
/// prompt. Returns nothing past its end.
using DraftOracle = std::function<std::optional<Token>(RequestId request, std::int32_t completion,
                                                       std::int32_t position)>;

/// Adds drafts to the decode runs that another scheduler plans, as a drafter would: up to eight per
/// run, within the rows, blocks and positions that are left. Most drafts are right. Some are made
/// up, and right ones may follow them. Passes everything else on.
class DraftingScheduler final : public Scheduler {
public:
    /// `share`: share of the runs that get drafts, 0 to 1. `drafts` counts the drafts and must
    /// outlive the scheduler.
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
