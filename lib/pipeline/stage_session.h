#pragma once

#include <cstdint>

#include "pipeline/feedback_gate.h"
#include "stage/stage_executor.h"
#include "wire/messages.h"

namespace molink {

/// Where a stage session puts what its stage says. A worker turns these into messages, a head with
/// a stage of its own handles them as if they had come from one. Called on the node's loop.
class StagePorts {
public:
    virtual ~StagePorts() = default;
    virtual void stage_progress(const LoadProgress& progress) = 0;
    virtual void stage_loaded(const StageLoaded& loaded) = 0;
    virtual void stage_ready(const StageReady& ready) = 0;
    virtual void stage_failed(const StageFailed& failed) = 0;
    /// A part for the next stage, activations included; from the last one to the first when that
    /// has the LM head.
    virtual void stage_forward(Part part) = 0;
    /// A part is done everywhere; only on the stage with the LM head.
    virtual void stage_retire(Retire retire) = 0;
    /// What was sampled, for the first stage; only on the last one of several when it has the LM
    /// head, with direct feedback.
    virtual void stage_feedback(Retire tokens) = 0;
};

/// One node's stage through the epochs: what the head assigned, and the way of parts through the
/// executor. Thread: the node's loop.
class StageSession {
public:
    /// Both must outlive the session.
    StageSession(StageExecutor& executor, StagePorts& ports) : executor_(executor), ports_(ports) {}

    /// Begins a new epoch: drops the old stage and loads the new one.
    void assign(const Assign& assign);
    /// Allocates pages. Errors: failed_precondition for another epoch or before it is loaded.
    Status start(const StageStart& start);
    /// Runs a part of this epoch; parts of older epochs are dropped. Errors: failed_precondition
    /// when the stage is not ready, or has no LM head for a part that comes back for it.
    Status submit(Part part, std::int64_t now_us);
    /// Tokens from the last stage, on the first one with direct feedback: parts that wait for them
    /// run. Errors: failed_precondition on any other stage, data_loss for what cannot be.
    Status take_feedback(const Retire& tokens, std::int64_t now_us);
    /// Hands on what the executor has finished. Returns the number of events.
    std::size_t pump(std::int64_t now_us);

    const Assign& assignment() const { return assign_; }
    bool ready() const { return state_ == State::ready; }

private:
    enum class State : std::uint8_t { idle, loading, loaded, starting, ready, failed };

    void handle(StageEvent event, std::int64_t now_us);
    void finish(PartResult result, std::int64_t now_us);
    Status check_returned(const Part& part) const;
    void feed_back(const Retire& retire, std::int64_t now_us);
    bool gated() const { return assign_.direct_feedback && assign_.stage_index == 0; }

    StageExecutor& executor_;
    StagePorts& ports_;
    Assign assign_;
    FeedbackGate gate_;
    State state_ = State::idle;
};

}  // namespace molink
