#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"
#include "engine/engine_core.h"
#include "pipeline/feedback_gate.h"
#include "sim/fold.h"
#include "sim/sim_clock.h"
#include "sim/sim_stage.h"

namespace molink::test {

/// Positions of a block in the fixtures.
inline constexpr std::int32_t kBlockTokens = 16;

/// Returns the `count` tokens that greedy decoding of `prompt` gives in a fold model with `layers`.
std::vector<Token> fold_tokens(const std::vector<Token>& prompt, std::int32_t count,
                               std::int32_t layers);

/// An engine core over a chain of simulated stages in one thread. Parts wait in queues between the
/// stages; deliver_one() moves one of them, chosen by the caller's random numbers. Parts of one
/// kind keep their order, but decode may overtake prefill.
class CoreFixture : public PartSink, public RequestEventSink {
public:
    /// With `direct_feedback` the last stage sends sampled tokens to the first one.
    CoreFixture(std::int32_t stages, std::int32_t layers, EngineCoreOptions options,
                std::unique_ptr<Scheduler> scheduler, std::int64_t kv_blocks,
                bool direct_feedback = false);

    void launch(PartPlan plan) override;
    void on_request_event(RequestEvent event) override;

    /// Moves one part, record or feedback by one hop. Returns false when nothing is under way.
    bool deliver_one(Random& random);
    /// Steps and delivers until nothing is left to do, for at most `limit` hops. Returns true when
    /// idle.
    bool run_to_end(Random& random, std::size_t limit = 1'000'000);
    /// Ends the epoch and begins the next one with fresh stages.
    void next_epoch();

    RequestId submit(const std::vector<Token>& prompt, std::int32_t max_tokens);

    struct Outcome {
        std::vector<Token> prompt;
        std::int32_t max_tokens = 0;
        std::vector<Token> tokens;
        FinishReason reason = FinishReason::none;
        Status status;
        int terminal_events = 0;
        int events_after_end = 0;
    };
    std::map<RequestId, Outcome> outcomes;
    std::vector<PartPlan> launched;  ///< every part, in order
    EngineCore core;
    std::int64_t now_us = 1000;
    Status retire_status;  ///< the last error of a stage, of the feedback gate or of the core
    std::int32_t layers;
    double overflows = 0;  ///< FoldShape::overflows of the next epoch

    /// Returns a text about a page that a stage has read and that was wrong, or an empty text.
    std::string violation() const;
    std::size_t known_sequences() const;

private:
    void begin();
    void run_stage(std::size_t at, StageInput input);
    void enter(PartPlan plan);
    void deliver_retired();
    void deliver_feedback();

    struct Hop {
        std::deque<StageInput> urgent;
        std::deque<StageInput> prefill;
        bool empty() const { return urgent.empty() && prefill.empty(); }
        void push(StageInput input) {
            auto& queue = is_urgent(input) ? urgent : prefill;
            queue.push_back(std::move(input));
        }
    };
    sim::SimClock clock_;
    std::vector<std::unique_ptr<sim::SimStage>> stages_;
    std::vector<Hop> hops_;
    std::deque<RetiredPart> retired_;
    std::deque<TokenFeedback> feedback_;
    FeedbackGate gate_;
    bool direct_feedback_;
    std::int64_t kv_blocks_;
    std::uint32_t epoch_ = 0;
    std::uint64_t next_request_ = 1;
    std::int32_t stage_count_;
};

}  // namespace molink::test
