#pragma once

#include <cstdint>
#include <map>

#include "pipeline/feedback_gate.h"
#include "stage/stage_executor.h"
#include "wire/messages.h"

namespace molink {

/// Returns the stage that `input` is for.
std::size_t stage_of(const StageInput& input, const RingShape& ring);

/// Receives the results of a stage session. A worker sends these calls as messages. A head with a
/// stage of its own handles them as if they came from a worker. Thread: the node's loop.
class StagePorts {
public:
    virtual ~StagePorts() = default;
    virtual void stage_progress(const LoadProgress& progress) = 0;
    virtual void stage_loaded(const StageLoaded& loaded) = 0;
    virtual void stage_ready(const StageReady& ready) = 0;
    virtual void stage_failed(const StageFailed& failed) = 0;
    /// A part for the next stage.
    virtual void stage_forward(ForwardedPart part) = 0;
    /// A part for the LM head on the first stage. Only the last stage calls this.
    virtual void stage_return(ReturnedPart part) = 0;
    /// A part is done on every stage. Only the stage with the LM head calls this.
    virtual void stage_retire(RetiredPart part) = 0;
    /// Sampled tokens for the first stage. Only a last stage with the LM head calls this, in a ring
    /// that feeds tokens back.
    virtual void stage_feedback(TokenFeedback tokens) = 0;
};

/// The stage of a device in successive epochs. It keeps the assignment and passes parts through the
/// executor. Thread: the node's loop.
class StageSession {
public:
    /// `executor` and `ports` must outlive the session.
    StageSession(StageExecutor& executor, StagePorts& ports) : executor_(executor), ports_(ports) {}

    /// Begins a new epoch: drops the old stage and loads the new one.
    void assign(const Assign& assign);
    /// The epoch is over. The executor keeps its layers.
    void leave();
    /// Does what leave() does, and frees the layers.
    void unload();
    /// Allocates pages. Errors: failed_precondition for another epoch or before it is loaded.
    Status start(const StageStart& start);
    /// Runs a part of this epoch; parts of older epochs are dropped. Errors: failed_precondition
    /// when the stage is not ready, or gets a part that does not belong on it.
    Status submit(StageInput input, std::int64_t now_us);
    /// Handles tokens from the last stage. Runs the parts that have become complete. Errors:
    /// failed_precondition unless this is the first stage of a ring that feeds tokens back.
    Status deliver_feedback(const TokenFeedback& tokens, std::int64_t now_us);
    /// What the stage does in this epoch. Only when ready().
    StageActivity activity(std::int64_t now_us) const;
    /// Passes on the results of the executor. Returns the number of events.
    std::size_t pump(std::int64_t now_us);

    /// The current assignment. Its ring is empty before the first one.
    const Assign& assignment() const { return assign_; }
    bool ready() const { return state_ == State::ready; }

private:
    enum class State : std::uint8_t { idle, loading, loaded, starting, ready, failed };

    const RingShape& ring() const { return assign_.ring.shape(); }
    bool is_stale(PipelineEpoch epoch) const;
    void begin(const Assign& assign, State state);
    void run(StageInput input, std::int64_t now_us);
    void handle(StageEvent event, std::int64_t now_us);
    void finish(StageOutput output, std::int64_t now_us);
    void fail_for(const RowFault& fault);
    void fail(const Status& status);
    void retire(RetiredPart part, std::int64_t now_us);
    Status check_input(const StageInput& input) const;
    Status check_returned(const ReturnedPart& part) const;
    /// Returns whether decode parts may lack tokens on this stage.
    bool gated() const { return ring().feeds_back() && assign_.stage_index == 0; }

    StageExecutor& executor_;
    StagePorts& ports_;
    Assign assign_;
    FeedbackGate gate_;
    State state_ = State::idle;

    // Of this epoch:
    std::uint64_t received_ = 0;              // parts from the stage before, or from the head
    std::uint64_t sent_ = 0;                  // parts to the next stage
    std::map<PartId, std::int64_t> held_us_;  // parts at the executor, and since when
};

}  // namespace molink
