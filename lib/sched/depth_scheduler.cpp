// A fixed number of micro-batches under way. Each holds its share of the running sequences and
// fills up with slices of prompts; the next one is planned when the first is back. With one it is
// the plain loop of most engines, with as many as there are stages what vLLM does over a pipeline.
#include "sched/step_parts.h"

namespace molink {
namespace {

class DepthScheduler final : public Scheduler {
public:
    explicit DepthScheduler(const DepthSchedulerOptions& options)
        : depth_(std::clamp(options.depth, 0, 64)), step_tokens_(options.step_tokens) {}

    std::string_view name() const override { return depth_ == 1 ? "single" : "depth"; }

    void plan(const SchedulerView& view, StepPlan& plan) override {
        const auto stages = static_cast<std::int32_t>(view.stages.size());
        const std::int32_t depth = depth_ > 0 ? depth_ : std::max(stages, 1);
        if (view.micro_batches_in_flight >= depth) return;
        StepBudget budget{view.max_step_tokens, view.free_blocks};
        if (step_tokens_ > 0) budget.rows = std::min(budget.rows, step_tokens_);
        plan_decode_rows(view, ceil_div(decode_population(view), depth), budget, plan);
        if (plan.preempt.empty()) {
            plan_prefill_rows(view, budget.rows, view.max_running, budget, plan);
        }
    }

private:
    std::int32_t depth_;
    std::int32_t step_tokens_;
};

}  // namespace

std::unique_ptr<Scheduler> make_depth_scheduler(const DepthSchedulerOptions& options) {
    return std::make_unique<DepthScheduler>(options);
}

}  // namespace molink
