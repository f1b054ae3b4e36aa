// Implements the rules as the public header states them. Shares no code with lib/engine/plan_check.
#include "plan_oracle.h"

#include <algorithm>
#include <set>

namespace molink::fuzz {
namespace {

using Queue = std::span<const SequenceView* const>;

const SequenceView* find_in(Queue queue, SequenceId id) {
    const auto found = std::find_if(queue.begin(), queue.end(),
                                    [id](const SequenceView* each) { return each->id == id; });
    return found == queue.end() ? nullptr : *found;
}

bool names_nothing_twice(const StepPlan& plan) {
    std::set<SequenceId> ids(plan.preempt.begin(), plan.preempt.end());
    for (const DecodeRun& run : plan.decode) ids.insert(run.sequence);
    for (const PrefillRun& run : plan.prefill) ids.insert(run.sequence);
    return ids.size() == plan.decode.size() + plan.preempt.size() + plan.prefill.size();
}

bool drafts_are_permitted(const SchedulerView& view, const SequenceView& sequence,
                          const std::vector<Token>& drafts) {
    if (drafts.empty()) return true;
    if (std::ssize(drafts) > view.max_drafts) return false;
    if (sequence.scheduled + std::ssize(drafts) >= sequence.max_tokens - 1) return false;
    return std::all_of(drafts.begin(), drafts.end(),
                       [&](Token draft) { return draft >= 0 && draft < view.vocabulary; });
}

bool may_preempt(const SchedulerView& view, SequenceId id) {
    const SequenceView* sequence = find_in(view.prefilling, id);
    if (sequence == nullptr) sequence = find_in(view.decodable, id);
    return sequence != nullptr && sequence->parts_in_flight == 0;
}

}  // namespace

bool plan_is_permitted(const SchedulerView& view, const StepPlan& plan) {
    if (!names_nothing_twice(plan)) return false;
    std::int64_t rows = 0;
    std::int64_t blocks = 0;
    std::int64_t admitted = 0;
    for (const SequenceId id : plan.preempt) {
        if (!may_preempt(view, id)) return false;
    }
    for (const DecodeRun& run : plan.decode) {
        const SequenceView* sequence = find_in(view.decodable, run.sequence);
        if (sequence == nullptr || !drafts_are_permitted(view, *sequence, run.drafts)) return false;
        rows += 1 + std::ssize(run.drafts);
        // Adds blocks until they hold the positions of all rows.
        std::int64_t held = sequence->blocks_held;
        for (; held * view.block_tokens < sequence->scheduled + 1 + std::ssize(run.drafts);
             ++held) {
            ++blocks;
        }
    }
    for (const PrefillRun& run : plan.prefill) {
        const SequenceView* admitting = find_in(view.waiting, run.sequence);
        const SequenceView* sequence =
            admitting != nullptr ? admitting : find_in(view.prefilling, run.sequence);
        if (sequence == nullptr) return false;
        if (run.count < 1 || run.count > view.max_slice_tokens) return false;
        if (run.count > sequence->prompt_tokens - sequence->scheduled) return false;
        rows += run.count;
        if (admitting != nullptr) {
            ++admitted;
            blocks += sequence->blocks_needed;
        }
    }
    const bool room = admitted == 0 || view.running + admitted <= view.max_running;
    const bool fits = blocks == 0 || blocks <= view.free_blocks;
    return room && fits && rows <= view.max_step_tokens;
}

}  // namespace molink::fuzz
