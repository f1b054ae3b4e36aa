// The gate between policy and mechanism: nothing a scheduler says reaches the
// block pool or a link unless it passes here. Blocks that the plan's own preemptions free do not
// count: how many there are shows only when they are free.
#include "engine/plan_check.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "kv/capacity.h"

namespace molink {
namespace {

class Checker {
public:
    Checker(const SchedulerView& view, const SequenceLookup& find)
        : view_(view), find_(find), blocks_(view.free_blocks) {}

    Status preempt(SequenceId id) {
        MOLINK_RETURN_IF_ERROR(once(id));
        const SequenceView* sequence = find_(id);
        const bool running = sequence != nullptr && (sequence->state == SequenceState::prefilling ||
                                                     sequence->state == SequenceState::decodable);
        if (running && sequence->parts_in_flight == 0) return {};
        return invalid_argument("the plan preempts sequence {}, which {}", id.value,
                                running ? "has parts in flight" : "is not running");
    }

    Status decode(const DecodeRun& run) {
        MOLINK_RETURN_IF_ERROR(once(run.sequence));
        const SequenceView* sequence = find_(run.sequence);
        if (sequence == nullptr || sequence->state != SequenceState::decodable) {
            return invalid_argument("the plan decodes sequence {}, which is not decodable",
                                    run.sequence.value);
        }
        MOLINK_RETURN_IF_ERROR(drafts(*sequence, run.drafts));
        const auto rows = static_cast<std::int64_t>(1 + run.drafts.size());
        rows_ += rows;
        const std::int64_t blocks = blocks_for(sequence->scheduled + rows, view_.block_tokens);
        return use_blocks(*sequence, std::max<std::int64_t>(blocks - sequence->blocks_held, 0));
    }

    Status prefill(const PrefillRun& run) {
        MOLINK_RETURN_IF_ERROR(once(run.sequence));
        const SequenceView* sequence = find_(run.sequence);
        const bool waiting = sequence != nullptr && sequence->state == SequenceState::waiting;
        if (sequence == nullptr || (!waiting && sequence->state != SequenceState::prefilling)) {
            return invalid_argument("the plan prefills sequence {}, which has nothing to prefill",
                                    run.sequence.value);
        }
        if (waiting) MOLINK_RETURN_IF_ERROR(admit(*sequence));
        const std::int32_t left = sequence->prompt_left();
        if (run.count < 1 || run.count > left || run.count > view_.max_slice_tokens) {
            return invalid_argument(
                "the plan prefills {} tokens of sequence {}; 1 to {} are permitted ({} are left, a "
                "slice has {})",
                run.count, run.sequence.value, std::min(left, view_.max_slice_tokens), left,
                view_.max_slice_tokens);
        }
        rows_ += run.count;
        return {};
    }

    Status finish() const {
        if (rows_ > view_.max_step_tokens) {
            return invalid_argument("the plan has {} rows; a micro-batch may have at most {}",
                                    rows_, view_.max_step_tokens);
        }
        return {};
    }

private:
    Status once(SequenceId id) {
        if (seen_.insert(id).second) return {};
        return invalid_argument("the plan names sequence {} twice", id.value);
    }

    Status admit(const SequenceView& sequence) {
        ++admitted_;
        if (view_.running + admitted_ > view_.max_running) {
            return invalid_argument(
                "the plan admits sequence {}, so that {} would run; at most {} may run",
                sequence.id.value, view_.running + admitted_, view_.max_running);
        }
        return use_blocks(sequence, sequence.blocks_needed);
    }

    /// Of a sequence that may decode at least its next row.
    Status drafts(const SequenceView& sequence, const std::vector<Token>& drafts) const {
        const std::int64_t most =
            std::min<std::int64_t>(view_.max_drafts, sequence.max_tokens - 2 - sequence.scheduled);
        if (std::ssize(drafts) > std::max<std::int64_t>(most, 0)) {
            return invalid_argument(
                "the plan decodes sequence {} with {} drafts; at most {} are permitted (limit {}, "
                "at position "
                "{} of {})",
                sequence.id.value, drafts.size(), std::max<std::int64_t>(most, 0), view_.max_drafts,
                sequence.scheduled, sequence.max_tokens);
        }
        for (Token draft : drafts) {
            if (draft >= 0 && draft < view_.vocabulary) continue;
            return invalid_argument(
                "the plan drafts token {} for sequence {}; the vocabulary has {} tokens", draft,
                sequence.id.value, view_.vocabulary);
        }
        return {};
    }

    Status use_blocks(const SequenceView& sequence, std::int64_t count) {
        blocks_ -= count;
        if (blocks_ >= 0) return {};
        return invalid_argument(
            "the plan runs sequence {}, which needs {} KV blocks; {} are missing ({} were free "
            "before the plan)",
            sequence.id.value, count, -blocks_, view_.free_blocks);
    }

    const SchedulerView& view_;
    const SequenceLookup& find_;
    std::unordered_set<SequenceId> seen_;
    std::int64_t blocks_;
    std::int64_t rows_ = 0;
    std::int32_t admitted_ = 0;
};

}  // namespace

Status check_plan(const SchedulerView& view, const SequenceLookup& find, const StepPlan& plan) {
    Checker checker(view, find);
    for (SequenceId id : plan.preempt) MOLINK_RETURN_IF_ERROR(checker.preempt(id));
    for (const DecodeRun& run : plan.decode) MOLINK_RETURN_IF_ERROR(checker.decode(run));
    for (const PrefillRun& run : plan.prefill) MOLINK_RETURN_IF_ERROR(checker.prefill(run));
    return checker.finish();
}

}  // namespace molink
