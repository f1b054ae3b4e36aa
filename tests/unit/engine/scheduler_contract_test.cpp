// The scheduler contract, checked on the built-in schedulers and on one that plans at random.
#include "support/scheduler_contract.h"

#include <algorithm>

#include "base/random.h"
#include "support/catch.h"

using namespace molink;

namespace {

/// Plans random numbers of random valid sequences. Leaves the plan empty now and then.
class RandomScheduler final : public Scheduler {
public:
    std::string_view name() const override { return "random"; }
    void plan(const SchedulerView& view, StepPlan& plan) override {
        Random random(view.step_seed);
        if (random.below(4) == 0) return;
        std::int32_t budget = view.max_step_tokens;
        std::int64_t blocks = view.free_blocks;
        for (const SequenceView* sequence : view.decodable) {
            if (random.below(60) == 0 && sequence->parts_in_flight == 0) {
                plan.preempt.push_back(sequence->id);
                continue;
            }
            if (budget == 0 || random.below(3) == 0 || sequence->blocks_needed > blocks) continue;
            plan.decode.push_back({sequence->id, {}});
            blocks -= sequence->blocks_needed;
            --budget;
        }
        for (const SequenceView* sequence : view.prefilling) {
            if (budget == 0 || random.below(2) == 0) continue;
            const std::int32_t most =
                std::min({sequence->prompt_left(), view.max_slice_tokens, budget});
            const auto count =
                static_cast<std::int32_t>(1 + random.below(static_cast<std::uint64_t>(most)));
            plan.prefill.push_back({sequence->id, count});
            budget -= count;
        }
        if (budget > 0 && !view.waiting.empty() && view.running < view.max_running &&
            view.waiting.front()->blocks_needed <= blocks) {
            plan.prefill.push_back({view.waiting.front()->id, 1});
        }
    }
};

}  // namespace

TEST_CASE("the depth scheduler keeps the scheduler contract") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        test::check_scheduler_contract(
            [seed] {
                DepthSchedulerOptions options;
                options.depth = static_cast<std::int32_t>(seed % 4);
                return make_depth_scheduler(options);
            },
            seed);
    }
}

TEST_CASE("every scheduler with a name keeps the scheduler contract") {
    for (const std::string_view name : scheduler_names()) {
        for (std::uint64_t seed = 1; seed <= 40; ++seed) {
            test::check_scheduler_contract([name] { return std::move(*make_scheduler(name)); },
                                           seed);
        }
    }
}

TEST_CASE("a random scheduler keeps the scheduler contract") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        test::check_scheduler_contract([] { return std::make_unique<RandomScheduler>(); }, seed);
    }
}
