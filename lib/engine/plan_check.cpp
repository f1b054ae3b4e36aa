// The gate between policy and mechanism: nothing a scheduler says reaches the
// block pool or a link unless it passes here. Cost is linear in the plan and in
// the queue positions it names.
#include "engine/plan_check.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"

namespace molink {
namespace {

using Queue = std::span<const SequenceView* const>;

const SequenceView* find(Queue queue, SequenceId id) {
    const auto found = std::find_if(queue.begin(), queue.end(),
                                    [&](const SequenceView* item) { return item->id == id; });
    return found == queue.end() ? nullptr : *found;
}

class Checker {
public:
    explicit Checker(const SchedulerView& view) : view_(view), blocks_(view.free_blocks) {}

    Status decode(SequenceId id) {
        MOLINK_RETURN_IF_ERROR(once(id));
        if (find(view_.decodable, id) == nullptr) {
            return invalid_argument("plan decodes sequence {}, which is not decodable", id.value);
        }
        ++rows_;
        return {};
    }

    Status prefill(const PrefillRun& run) {
        MOLINK_RETURN_IF_ERROR(once(run.sequence));
        const SequenceView* sequence = find(view_.prefilling, run.sequence);
        if (sequence == nullptr) {
            sequence = find(view_.waiting, run.sequence);
            if (sequence == nullptr) {
                return invalid_argument("plan prefills sequence {}, which has nothing to prefill",
                                        run.sequence.value);
            }
            MOLINK_RETURN_IF_ERROR(admit(*sequence));
        }
        const std::int32_t left = sequence->prompt_tokens - sequence->scheduled;
        if (run.count < 1 || run.count > left || run.count > view_.max_slice_tokens) {
            return invalid_argument(
                "plan prefills {} tokens of sequence {}: 1 to {} are permitted (left {}, slice {})",
                run.count, run.sequence.value, std::min(left, view_.max_slice_tokens), left,
                view_.max_slice_tokens);
        }
        rows_ += run.count;
        return {};
    }

    Status finish() const {
        if (rows_ > view_.max_step_tokens) {
            return invalid_argument("plan has {} rows; a micro-batch may have {}", rows_,
                                    view_.max_step_tokens);
        }
        return {};
    }

private:
    Status once(SequenceId id) {
        if (seen_.insert(id).second) return {};
        return invalid_argument("plan names sequence {} twice", id.value);
    }

    Status admit(const SequenceView& sequence) {
        ++admitted_;
        blocks_ -= sequence.blocks_needed;
        if (view_.running + admitted_ > view_.max_running) {
            return invalid_argument("plan admits sequence {} as number {} of {} running",
                                    sequence.id.value, view_.running + admitted_,
                                    view_.max_running);
        }
        if (blocks_ < 0) {
            return invalid_argument(
                "plan admits sequence {}, which needs {} KV blocks: {} short of them",
                sequence.id.value, sequence.blocks_needed, -blocks_);
        }
        return {};
    }

    const SchedulerView& view_;
    std::unordered_set<SequenceId> seen_;
    std::int64_t blocks_;
    std::int64_t rows_ = 0;
    std::int32_t admitted_ = 0;
};

}  // namespace

Status check_plan(const SchedulerView& view, const StepPlan& plan) {
    Checker checker(view);
    for (SequenceId id : plan.decode) MOLINK_RETURN_IF_ERROR(checker.decode(id));
    for (const PrefillRun& run : plan.prefill) MOLINK_RETURN_IF_ERROR(checker.prefill(run));
    return checker.finish();
}

}  // namespace molink
