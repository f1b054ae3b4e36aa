// Proposes drafts without a drafter. The oracle of the simulation knows what will be sampled, so
// this file chooses the share of right drafts. All draws come from the view's seed, so equal views
// get equal drafts. Relies on check_plan to refuse a plan that exceeds the budgets counted here.
#include "sim/drafting_scheduler.h"

#include <algorithm>

#include "kv/capacity.h"

namespace molink::sim {
namespace {

constexpr std::int32_t kMostDrafts = 8;  // of a run
constexpr double kRight = 0.75;          // share of the drafts

const SequenceView* find(std::span<const SequenceView* const> queue, SequenceId id) {
    const auto found = std::find_if(queue.begin(), queue.end(),
                                    [id](const SequenceView* view) { return view->id == id; });
    return found == queue.end() ? nullptr : *found;
}

/// The rows of the step and the free blocks that a plan leaves.
struct Budget {
    std::int64_t rows = 0;
    std::int64_t blocks = 0;
};

Budget budget_beside(const SchedulerView& view, const StepPlan& plan) {
    Budget budget{view.max_step_tokens, view.free_blocks};
    for (const DecodeRun& run : plan.decode) {
        const SequenceView* sequence = find(view.decodable, run.sequence);
        if (sequence != nullptr) budget.blocks -= sequence->blocks_needed;
        --budget.rows;
    }
    for (const PrefillRun& run : plan.prefill) {
        const SequenceView* sequence = find(view.waiting, run.sequence);
        if (sequence != nullptr) budget.blocks -= sequence->blocks_needed;
        budget.rows -= run.count;
    }
    return budget;
}

}  // namespace

Token DraftingScheduler::draft(const SchedulerView& view, const SequenceView& sequence,
                               std::int32_t position, Random& random) const {
    const std::optional<Token> right = oracle_(sequence.request, sequence.completion, position);
    const auto made_up =
        static_cast<Token>(random.below(static_cast<std::uint64_t>(view.vocabulary)));
    return right && random.uniform() < kRight ? *right : made_up;
}

void DraftingScheduler::plan(const SchedulerView& view, StepPlan& plan) {
    inner_->plan(view, plan);
    Budget budget = budget_beside(view, plan);
    Random random(view.step_seed);
    for (DecodeRun& run : plan.decode) {
        const SequenceView* sequence = find(view.decodable, run.sequence);
        if (sequence == nullptr || random.uniform() >= share_) continue;
        const std::int32_t most = std::min(
            {kMostDrafts, view.max_drafts, sequence->max_tokens - 2 - sequence->scheduled});
        if (most < 1) continue;
        const auto wanted = 1 + random.below(static_cast<std::uint64_t>(most));
        std::int64_t held = std::int64_t{sequence->blocks_held} + sequence->blocks_needed;
        while (run.drafts.size() < wanted && budget.rows > 0) {
            const auto position =
                sequence->scheduled + 1 + static_cast<std::int32_t>(run.drafts.size());
            const std::int64_t more = blocks_for(position + 1, view.block_tokens) - held;
            if (more > budget.blocks) break;
            held += std::max<std::int64_t>(more, 0);
            budget.blocks -= std::max<std::int64_t>(more, 0);
            --budget.rows;
            run.drafts.push_back(draft(view, *sequence, position, random));
        }
        drafts_ += run.drafts.size();
    }
}

}  // namespace molink::sim
