// Makes plans from bytes. Plausible plans must be frequent, or the engine would always use its
// built-in policy.
#include "byte_scheduler.h"

#include <algorithm>

#include "plan_oracle.h"

namespace molink::fuzz {
namespace {

SequenceId pick(FuzzInput& input, const SchedulerView& view) {
    const std::uint8_t how = input.u8();
    const std::span<const SequenceView* const> queues[] = {view.decodable, view.prefilling,
                                                           view.waiting};
    const auto queue = queues[how % 3];
    if (queue.empty() || how >= 250) return SequenceId(input.u8());
    return queue[(how / 3) % std::min<std::size_t>(queue.size(), 84)]->id;
}

const SequenceView* look_up(const SchedulerView& view, SequenceId id) {
    for (const auto queue : {view.waiting, view.prefilling, view.decodable}) {
        for (const SequenceView* sequence : queue) {
            if (sequence->id == id) return sequence;
        }
    }
    return nullptr;
}

/// Returns a decode run. Half of them have drafts, and some have more than are permitted.
DecodeRun decode_run(FuzzInput& input, const SchedulerView& view) {
    DecodeRun run{pick(input, view), {}};
    const std::uint8_t how = input.u8();
    if (how < 128) return run;
    run.drafts.resize(how >= 250 ? how - 200u : how % 5u);
    for (Token& draft : run.drafts) draft = input.u8() - (how >= 240 ? 1 : 0);
    return run;
}

PrefillRun prefill_run(FuzzInput& input, const SchedulerView& view) {
    PrefillRun run{pick(input, view), 0};
    const std::uint8_t how = input.u8();
    const SequenceView* sequence = look_up(view, run.sequence);
    const std::int32_t left = sequence == nullptr ? 1 : sequence->prompt_left();
    if (how < 128) {
        run.count = std::min(left, view.max_slice_tokens);
    } else if (how < 200) {
        run.count = how - 128;
    } else if (how < 230) {
        run.count = left + (how % 3) - 1;
    } else {
        run.count = static_cast<std::int32_t>(input.u32());
    }
    return run;
}

template <typename T>
void disturb(FuzzInput& input, std::vector<T>& list) {
    if (list.empty()) return;
    const std::size_t at = input.below(list.size() < 256 ? list.size() : 256);
    if (input.coin()) {
        list.push_back(list[at]);
    } else {
        list.erase(list.begin() + static_cast<std::ptrdiff_t>(at));
    }
}

}  // namespace

void arbitrary_plan(FuzzInput& input, const SchedulerView& view, StepPlan& plan) {
    const std::uint8_t sizes = input.u8();
    for (int i = 0; i < sizes % 6; ++i) plan.decode.push_back(decode_run(input, view));
    for (int i = 0; i < (sizes / 6) % 6; ++i) plan.prefill.push_back(prefill_run(input, view));
    for (int i = 0; i < (sizes / 36) % 4; ++i) plan.preempt.push_back(pick(input, view));
}

void ByteScheduler::spoil(const SchedulerView& view, StepPlan& plan) {
    switch (input_.below(6)) {
        case 0: disturb(input_, plan.decode); break;
        case 1: disturb(input_, plan.prefill); break;
        case 2: plan.preempt.push_back(pick(input_, view)); break;
        case 3: plan.decode.push_back(decode_run(input_, view)); break;
        case 4: plan.prefill.push_back(prefill_run(input_, view)); break;
        default:
            if (!plan.prefill.empty()) plan.prefill.front().count = input_.u8() - 4;
            break;
    }
}

void ByteScheduler::plan(const SchedulerView& view, StepPlan& plan) {
    if (input_.empty()) {
        inner_->plan(view, plan);
        return;
    }
    switch (input_.below(8)) {
        case 0:
        case 1:
        case 2: inner_->plan(view, plan); break;
        case 3: break;
        case 4:
            inner_->plan(view, plan);
            spoil(view, plan);
            break;
        case 5:
            if (!view.decodable.empty()) plan.preempt.push_back(view.decodable.front()->id);
            break;
        default: arbitrary_plan(input_, view, plan); break;
    }
    if (!plan_is_permitted(view, plan)) ++forbidden;
}

}  // namespace molink::fuzz
