// The plain policy: first come, first served, with a fixed number of micro-batches under way.
// Running sequences are dealt evenly over the micro-batches, so that every stage has one to work
// on; prompts are cut into slices, and a sequence may have several slices under way at once, one
// per stage. When KV blocks run out the youngest gives way. Relies on the engine calling plan()
// until the plan stays empty.
#include <algorithm>

#include <molink/scheduler.h>

#include "base/canary.h"

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
        Budget budget{view.max_step_tokens, view.free_blocks};
        if (view.decode_parts_in_flight < depth) plan_decode(view, depth, budget, plan);
        if (!plan.preempt.empty()) return;
        if (view.prefill_parts_in_flight < depth) plan_prefill(view, budget, plan);
    }

private:
    struct Budget {
        std::int32_t rows = 0;
        std::int64_t blocks = 0;
    };

    static bool older(const SequenceView* a, const SequenceView* b) {
        return a->arrival_us < b->arrival_us || (a->arrival_us == b->arrival_us && a->id < b->id);
    }

    static void plan_decode(const SchedulerView& view, std::int32_t depth, Budget& budget,
                            StepPlan& plan) {
        const auto ready = static_cast<std::int32_t>(view.decodable.size());
        const std::int32_t population = ready + view.decoding_in_flight;
        const std::int32_t share = (population + depth - 1) / depth;
        const std::int32_t rows = std::min({ready, share, budget.rows});
        const SequenceView* short_of_blocks = nullptr;
        std::int32_t taken = 0;
        for (const SequenceView* sequence : view.decodable) {
            if (taken == rows) break;
            if (sequence->blocks_needed > budget.blocks) {
                if (short_of_blocks == nullptr || older(sequence, short_of_blocks)) {
                    short_of_blocks = sequence;
                }
                continue;
            }
            budget.blocks -= sequence->blocks_needed;
            plan.decode.push_back(sequence->id);
            ++taken;
        }
        budget.rows -= taken;
        if (short_of_blocks != nullptr) preempt_for(view, *short_of_blocks, plan);
    }

    /// Gives up the youngest sequence that is idle and younger than `sequence`, so that the oldest
    /// always goes on. It leaves the rest of the plan for the next call.
    static void preempt_for(const SchedulerView& view, const SequenceView& sequence,
                            StepPlan& plan) {
        const SequenceView* victim = nullptr;
        for (const auto& queue : {view.prefilling, view.decodable}) {
            for (const SequenceView* other : queue) {
                if (other->parts_in_flight > 0 || !older(&sequence, other)) continue;
                if (victim == nullptr || older(victim, other)) victim = other;
            }
        }
        if (victim == nullptr) return;
        plan.decode.clear();
        plan.preempt.push_back(victim->id);
    }

    static void plan_prefill(const SchedulerView& view, Budget budget, StepPlan& plan) {
        const auto slice = [&](const SequenceView& sequence) {
            const std::int32_t left = sequence.prompt_tokens - sequence.scheduled;
            const std::int32_t count = std::min({left, view.max_slice_tokens, budget.rows});
            plan.prefill.push_back({sequence.id, count});
            budget.rows -= count;
        };
        for (const SequenceView* sequence : view.prefilling) {
            if (budget.rows <= 0) return;
            slice(*sequence);
        }
        std::int32_t running = view.running;
        for (const SequenceView* sequence : view.waiting) {
            if (budget.rows <= 0 || running >= view.max_running) return;
            // A block for every running sequence stays free, or the next rows would preempt at
            // once.
            const std::int64_t spare = running > 0 ? running + 1 : 0;
            if (sequence->blocks_needed + spare > budget.blocks)
                return;  // first come, first served
            budget.blocks -= sequence->blocks_needed;
            ++running;
            if (canary(Canary::starved_request) && view.waiting.size() > 1 &&
                sequence->id.value % 7 == 3) {
                continue;
            }
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
