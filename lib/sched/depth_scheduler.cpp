// The plain policy: first come, first served, with a fixed number of micro-batches under way.
// Running sequences are dealt evenly over the micro-batches, so that every stage has one to work
// on; prompts are cut into slices, and a sequence may have several slices under way at once, one
// per stage. Relies on the engine calling plan() until the plan stays empty.
#include <algorithm>

#include <molink/scheduler.h>

namespace molink {

Scheduler::~Scheduler() = default;
void Scheduler::observe(const PartReport&) {}

namespace {

class DepthScheduler final : public Scheduler {
public:
    explicit DepthScheduler(const DepthSchedulerOptions& options)
        : depth_(std::clamp(options.depth, 0, 64)) {}

    std::string_view name() const override { return "depth"; }

    void plan(const SchedulerView& view, StepPlan& plan) override {
        const auto stages = static_cast<std::int32_t>(view.stages.size());
        const std::int32_t depth = depth_ > 0 ? depth_ : std::max(stages, 1);
        std::int32_t budget = view.max_step_tokens;
        if (view.decode_parts_in_flight < depth) budget -= plan_decode(view, depth, budget, plan);
        if (view.prefill_parts_in_flight < depth) plan_prefill(view, budget, plan);
    }

private:
    static std::int32_t plan_decode(const SchedulerView& view, std::int32_t depth,
                                    std::int32_t budget, StepPlan& plan) {
        const auto ready = static_cast<std::int32_t>(view.decodable.size());
        const std::int32_t population = ready + view.decoding_in_flight;
        const std::int32_t share = (population + depth - 1) / depth;
        const std::int32_t rows = std::min({ready, share, budget});
        for (std::int32_t i = 0; i < rows; ++i) {
            plan.decode.push_back(view.decodable[static_cast<std::size_t>(i)]->id);
        }
        return rows;
    }

    static void plan_prefill(const SchedulerView& view, std::int32_t budget, StepPlan& plan) {
        const auto slice = [&](const SequenceView& sequence) {
            const std::int32_t left = sequence.prompt_tokens - sequence.scheduled;
            const std::int32_t count = std::min({left, view.max_slice_tokens, budget});
            plan.prefill.push_back({sequence.id, count});
            budget -= count;
        };
        for (const SequenceView* sequence : view.prefilling) {
            if (budget <= 0) return;
            slice(*sequence);
        }
        std::int32_t running = view.running;
        std::int64_t blocks = view.free_blocks;
        for (const SequenceView* sequence : view.waiting) {
            if (budget <= 0 || running >= view.max_running) return;
            if (sequence->blocks_needed > blocks) return;  // first come, first served
            blocks -= sequence->blocks_needed;
            ++running;
            slice(*sequence);
        }
    }

    std::int32_t depth_;
};

}  // namespace

std::unique_ptr<Scheduler> make_depth_scheduler(const DepthSchedulerOptions& options) {
    return std::make_unique<DepthScheduler>(options);
}

}  // namespace molink
