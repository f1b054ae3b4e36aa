// The rule of the MoLink paper (arXiv 2507.05043) as its released code has it, for comparison: the
// number of micro-batches follows from constants of an assumed link, prompts go first, and a
// micro-batch is either prefill or decode. The time of a decode micro-batch is the slowest
// stage's.
#include "sched/step_parts.h"

namespace molink {
namespace {

class PaperScheduler final : public Scheduler {
public:
    explicit PaperScheduler(const PaperSchedulerOptions& options) : options_(options) {}

    std::string_view name() const override { return "molink-paper"; }

    void plan(const SchedulerView& view, StepPlan& plan) override {
        const std::int32_t depth = micro_batches(view);
        if (view.micro_batches_in_flight >= depth) return;
        StepBudget budget{view.max_step_tokens, view.free_blocks};
        if (options_.step_tokens > 0) budget.rows = std::min(budget.rows, options_.step_tokens);
        if (can_prefill(view, view.max_running)) {
            plan_prefill_rows(view, budget.rows, view.max_running, budget, plan);
            if (!plan.empty()) return;
        }
        plan_decode_rows(view, ceil_div(decode_population(view), depth), budget, plan);
    }

private:
    /// The smallest N in P + 1 .. most with (N - P) c(R / N) >= P x(R / N), else the most.
    std::int32_t micro_batches(const SchedulerView& view) const {
        const std::int32_t depth = options_.pipeline_depth;
        for (std::int32_t n = depth + 1; n < options_.most; ++n) {
            const double rows = static_cast<double>(view.running) / n;
            const double compute_us = decode_us(view, rows) + options_.compute_overhead_us;
            const double transfer_us = transfer_bytes(view, rows) / options_.bytes_per_s * 1e6 +
                                       options_.transfer_overhead_us;
            if ((n - depth) * compute_us >= depth * transfer_us) return n;
        }
        return options_.most;
    }

    static double decode_us(const SchedulerView& view, double rows) {
        double slowest = 0;
        for (const StageView& stage : view.stages) {
            slowest = std::max(slowest, stage.decode.at(rows));
        }
        return slowest;
    }

    /// Two bytes for each value of the hidden row, whatever the link carries.
    static double transfer_bytes(const SchedulerView& view, double rows) {
        return view.stages.empty() ? 0 : 2.0 * view.stages.front().hidden * rows;
    }

    PaperSchedulerOptions options_;
};

}  // namespace

std::unique_ptr<Scheduler> make_paper_scheduler(const PaperSchedulerOptions& options) {
    return std::make_unique<PaperScheduler>(options);
}

}  // namespace molink
