// The halves that the built-in schedulers are made of: which sequences decode, which
// prefill, and who gives way when blocks run out. They differ only in how many rows each
// half gets and when.
#include "sched/step_parts.h"

#include "base/canary.h"

namespace molink {

Scheduler::~Scheduler() = default;
void Scheduler::observe(const PartReport&) {}

namespace {

bool older(const SequenceView* a, const SequenceView* b) {
    return a->arrival_us < b->arrival_us || (a->arrival_us == b->arrival_us && a->id < b->id);
}

/// Gives up the youngest sequence that is idle and younger than `sequence`, so that the oldest
/// always goes on. It leaves the rest of the plan for the next call.
void preempt_for(const SchedulerView& view, const SequenceView& sequence, StepPlan& plan) {
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

/// A block for every running sequence stays free, or the next rows would preempt at once.
bool fits(const SequenceView& sequence, std::int32_t running, std::int64_t blocks) {
    const std::int64_t spare = running > 0 ? running + 1 : 0;
    return sequence.blocks_needed + spare <= blocks;
}

}  // namespace

void plan_decode_rows(const SchedulerView& view, std::int32_t most, StepBudget& budget,
                      StepPlan& plan) {
    const std::int32_t rows =
        std::min({static_cast<std::int32_t>(view.decodable.size()), most, budget.rows});
    const SequenceView* short_of_blocks = nullptr;
    std::int32_t taken = 0;
    for (const SequenceView* sequence : view.decodable) {
        if (taken >= rows) break;
        if (sequence->blocks_needed > budget.blocks) {
            if (short_of_blocks == nullptr || older(sequence, short_of_blocks)) {
                short_of_blocks = sequence;
            }
            continue;
        }
        budget.blocks -= sequence->blocks_needed;
        plan.decode.push_back({sequence->id, {}});
        ++taken;
    }
    budget.rows -= taken;
    if (short_of_blocks != nullptr) preempt_for(view, *short_of_blocks, plan);
}

PrefillRuns::PrefillRuns(const SchedulerView& view, std::int32_t most, std::int32_t max_running,
                         StepBudget budget, StepPlan& plan)
    : view_(view), max_running_(max_running), running_(view.running), budget_(budget), plan_(plan) {
    budget_.rows = std::min(budget_.rows, most);
}

PrefillRuns::Added PrefillRuns::add(const SequenceView& sequence) {
    if (budget_.rows <= 0) return Added::full;
    if (sequence.state == SequenceState::waiting) {
        if (running_ >= max_running_ || !fits(sequence, running_, budget_.blocks)) {
            return Added::closed;
        }
        budget_.blocks -= sequence.blocks_needed;
        ++running_;
        if (canary(Canary::starved_request) && view_.waiting.size() > 1 &&
            sequence.id.value % 7 == 3) {
            return Added::yes;
        }
    }
    const std::int32_t count =
        std::min({sequence.prompt_left(), view_.max_slice_tokens, budget_.rows});
    plan_.prefill.push_back({sequence.id, count});
    budget_.rows -= count;
    return Added::yes;
}

void plan_prefill_rows(const SchedulerView& view, std::int32_t most, std::int32_t max_running,
                       StepBudget budget, StepPlan& plan) {
    PrefillRuns runs(view, most, max_running, budget, plan);
    for (const auto& queue : {view.prefilling, view.waiting}) {
        for (const SequenceView* sequence : queue) {
            if (runs.add(*sequence) != PrefillRuns::Added::yes) return;
        }
    }
}

bool can_prefill(const SchedulerView& view, std::int32_t max_running) {
    if (!view.prefilling.empty()) return true;
    return !view.waiting.empty() && view.running < max_running &&
           fits(*view.waiting.front(), view.running, view.free_blocks);
}

}  // namespace molink
