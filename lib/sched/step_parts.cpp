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
        plan.decode.push_back(sequence->id);
        ++taken;
    }
    budget.rows -= taken;
    if (short_of_blocks != nullptr) preempt_for(view, *short_of_blocks, plan);
}

void plan_prefill_rows(const SchedulerView& view, std::int32_t most, std::int32_t max_running,
                       StepBudget budget, StepPlan& plan) {
    budget.rows = std::min(budget.rows, most);
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
        if (budget.rows <= 0 || running >= max_running) return;
        if (!fits(*sequence, running, budget.blocks)) return;  // nobody passes it
        budget.blocks -= sequence->blocks_needed;
        ++running;
        if (canary(Canary::starved_request) && view.waiting.size() > 1 &&
            sequence->id.value % 7 == 3) {
            continue;
        }
        slice(*sequence);
    }
}

bool can_prefill(const SchedulerView& view, std::int32_t max_running) {
    if (!view.prefilling.empty()) return true;
    return !view.waiting.empty() && view.running < max_running &&
           fits(*view.waiting.front(), view.running, view.free_blocks);
}

}  // namespace molink
