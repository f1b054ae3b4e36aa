// Tests the check of plans in two ways. With an even first byte, a view and plans are made from
// bytes, and check_plan must accept exactly the plans that the rules of scheduler.h permit. With an
// odd one, a whole engine core runs on fold stages under a scheduler whose plans the bytes disturb.
// Whatever it plans, every request ends once with its right tokens, and the counts of blocks agree.
#include <array>
#include <vector>

#include "byte_scheduler.h"
#include "engine/plan_check.h"
#include "fuzz_input.h"
#include "plan_oracle.h"
#include "support/core_fixture.h"

using namespace molink;
using namespace molink::fuzz;

namespace {

/// A consistent view with numbers from the input.
struct AnyView {
    explicit AnyView(FuzzInput& input) {
        view.block_tokens = 1 + input.u8() % 32;
        sequences.resize(input.below(24));
        for (std::size_t i = 0; i < sequences.size(); ++i) fill(input, i);
        for (const SequenceView& sequence : sequences) queue_of(sequence);
        view.waiting = queues[0];
        view.prefilling = queues[1];
        view.decodable = queues[2];
        view.running = input.u8() % 32;
        view.max_running = input.u8() % 40;
        view.free_blocks = input.coin() ? input.u8() : static_cast<std::int64_t>(input.u64() >> 1);
        view.max_step_tokens = input.coin() ? input.u8() : static_cast<std::int32_t>(input.u16());
        view.max_slice_tokens = 1 + (input.coin() ? input.u8() : input.u16());
        view.max_drafts = input.u8() % 70;
        view.vocabulary = 1 + input.u8();
    }

    void fill(FuzzInput& input, std::size_t index) {
        SequenceView& sequence = sequences[index];
        sequence.id = SequenceId(3 * index + 1);
        sequence.state = static_cast<SequenceState>(input.below(5));
        sequence.prompt_tokens = 1 + (input.coin() ? input.u8() : input.u16());
        sequence.scheduled = input.u16() % sequence.prompt_tokens;
        sequence.parts_in_flight = std::max(0, input.u8() % 4 - 1);
        sequence.blocks_needed = input.coin() ? input.u8() % 4 : input.u16();
        if (sequence.state != SequenceState::decodable) return;
        sequence.max_tokens = sequence.scheduled + 2 + input.u8() % 80;
        const std::int32_t needed = sequence.scheduled / view.block_tokens + 1;
        sequence.blocks_held = needed - 1 + input.u8() % 3;
        sequence.blocks_needed = std::max(needed - sequence.blocks_held, 0);
    }

    void queue_of(const SequenceView& sequence) {
        switch (sequence.state) {
            case SequenceState::waiting: queues[0].push_back(&sequence); break;
            case SequenceState::prefilling: queues[1].push_back(&sequence); break;
            case SequenceState::decodable: queues[2].push_back(&sequence); break;
            case SequenceState::in_flight:
            case SequenceState::finished: break;
        }
    }

    const SequenceView* find(SequenceId id) const {
        for (const SequenceView& sequence : sequences) {
            if (sequence.id == id) return &sequence;
        }
        return nullptr;
    }

    std::vector<SequenceView> sequences;
    std::array<std::vector<const SequenceView*>, 3> queues;
    SchedulerView view;
};

void check_gate(FuzzInput& input) {
    const AnyView any(input);
    const auto find = [&any](SequenceId id) { return any.find(id); };
    for (int i = 0; i < 16 && !input.empty(); ++i) {
        StepPlan plan;
        arbitrary_plan(input, any.view, plan);
        const Status checked = check_plan(any.view, find, plan);
        FUZZ_CHECK(checked.ok() == plan_is_permitted(any.view, plan));
        FUZZ_CHECK(checked.ok() || checked.code() == StatusCode::invalid_argument);
    }
}

class EngineRun {
public:
    explicit EngineRun(FuzzInput& input)
        : input_(input),
          random_(input.u16()),
          stages_(static_cast<std::int32_t>(1 + input.below(4))),
          kv_blocks_(static_cast<std::int64_t>(6 + input.below(48))),
          options_(read_options()),
          fixture_(stages_, 5, options_, scheduler(), kv_blocks_) {}

    void run() {
        for (int step = 0; step < 600 && !input_.empty(); ++step) {
            act();
            fixture_.core.step(fixture_.now_us);
            fixture_.deliver_one(random_);
            if (step % 8 == 0) FUZZ_CHECK(fixture_.core.check().ok());
        }
        FUZZ_CHECK(fixture_.run_to_end(random_, 100'000));
        FUZZ_CHECK(fixture_.core.check().ok());
        FUZZ_CHECK(fixture_.violation().empty() && fixture_.retire_status.ok());
        for (const auto& [id, outcome] : fixture_.outcomes) check_outcome(id, outcome);
        MetricsSnapshot metrics;
        fixture_.core.fill_metrics(metrics);
        FUZZ_CHECK(metrics.plans_refused == scheduler_->forbidden);
        FUZZ_CHECK(metrics.kv_blocks_free == metrics.kv_blocks_total);
    }

private:
    EngineCoreOptions read_options() {
        EngineCoreOptions options;
        options.max_running = static_cast<std::int32_t>(1 + input_.below(8));
        options.max_waiting = 24;
        options.max_step_tokens = static_cast<std::int32_t>(1 + input_.below(64));
        options.max_slice_tokens = static_cast<std::int32_t>(
            1 + input_.below(static_cast<std::size_t>(options.max_step_tokens)));
        options.block_tokens = test::kBlockTokens;
        options.vocabulary = kFoldVocabulary;
        options.prefix_cache = input_.coin();
        return options;
    }

    std::unique_ptr<Scheduler> scheduler() {
        auto made = std::make_unique<ByteScheduler>(input_, make_depth_scheduler());
        scheduler_ = made.get();
        return made;
    }

    void act() {
        switch (input_.below(16)) {
            case 0:
            case 1: submit(); break;
            case 2:
                if (submitted_ > 0) cancel(RequestId(1 + input_.below(submitted_)));
                break;
            case 3:
                if (input_.u8() < 8) fixture_.next_epoch();
                break;
            default: break;
        }
    }

    void submit() {
        if (submitted_ >= 16) return;
        // Few different tokens and shared beginnings, so that the prefix cache finds blocks.
        std::vector<Token> prompt(1 + input_.below(80));
        const std::uint8_t kind = input_.u8();
        for (std::size_t i = 0; i < prompt.size(); ++i) {
            prompt[i] = static_cast<Token>(i < 32 ? kind % 2 : kind % 5);
        }
        fixture_.submit(prompt, static_cast<std::int32_t>(1 + input_.below(24)));
        ++submitted_;
    }

    void cancel(RequestId id) {
        fixture_.core.cancel(id, Status(StatusCode::cancelled, "no more"), fixture_.now_us);
    }

    void check_outcome(RequestId, const test::CoreFixture::Outcome& outcome) {
        if (outcome.terminal_events == 0) {  // submit refused it, so no event may follow
            FUZZ_CHECK(!outcome.status.ok() && outcome.tokens.empty());
            return;
        }
        FUZZ_CHECK(outcome.terminal_events == 1 && outcome.events_after_end == 0);
        const std::vector<Token> right =
            test::fold_tokens(outcome.prompt, outcome.max_tokens, fixture_.layers);
        FUZZ_CHECK(outcome.tokens.size() <= right.size());
        FUZZ_CHECK(std::equal(outcome.tokens.begin(), outcome.tokens.end(), right.begin()));
        FUZZ_CHECK(outcome.reason != FinishReason::length || outcome.tokens == right);
        FUZZ_CHECK(outcome.reason != FinishReason::stop);
    }

    FuzzInput& input_;
    Random random_;
    std::int32_t stages_;
    std::int64_t kv_blocks_;
    EngineCoreOptions options_;
    ByteScheduler* scheduler_ = nullptr;
    test::CoreFixture fixture_;
    std::size_t submitted_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzInput input(data, size);
    if (!input.coin()) {
        check_gate(input);
    } else {
        EngineRun(input).run();
    }
    return 0;
}
