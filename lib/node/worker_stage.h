#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <molink/worker.h>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "node/stage_neighbours.h"
#include "pipeline/stage_session.h"
#include "wire/messages.h"

namespace molink {

class WorkerStage;

/// What a stage needs of the worker that owns it. Thread: the node's loop.
class WorkerStagePorts {
public:
    virtual ~WorkerStagePorts() = default;
    /// Sends to the head; nothing while it cannot be reached.
    virtual void send_head(Lane lane, PipelineEpoch epoch, const Message& message) = 0;
    /// Returns the stage of this worker that has place `index` in the ring of an epoch, or null.
    virtual WorkerStage* find_stage(PipelineEpoch epoch, std::size_t index) = 0;
};

/// One device of a worker: the stage that it holds, if any, and where its results go: to the head,
/// to another stage of this worker, or over a peer link to the next process. Thread: the node's
/// loop.
class WorkerStage final : public StagePorts {
public:
    /// `executor`, `ports` and `clock` must outlive it.
    WorkerStage(std::string device, StageExecutor& executor, WorkerStagePorts& ports,
                const Clock& clock, Log log);

    void attach(ChannelHub& hub) { neighbours_.attach(hub); }
    const std::string& device() const { return device_; }

    /// The head is gone: ends the epoch. The device keeps its layers, for the case that the next
    /// head assigns the same ones; with `unload` it frees them.
    void leave(bool unload);
    /// Begins an epoch with this assignment.
    void assign(const Assign& assign);
    void start(const StageStart& start);
    /// Runs a part of this epoch, or fails the stage.
    void submit(StageInput input);
    /// Handles tokens from the last stage, or fails the stage.
    void feed_back(const TokenFeedback& tokens);
    /// Passes on what the executor has finished, and tells the head when the stage is ready.
    void pump();
    /// Fails the stage when its next one has been away for longer than `patience_us`.
    void check_next(std::int64_t patience_us);

    /// The epoch of the latest assignment; 0: none yet.
    PipelineEpoch epoch() const { return epoch_; }
    bool has_stage() const { return !session_.assignment().ring.empty(); }
    /// Its place in the ring. Only when has_stage().
    std::size_t index() const { return session_.assignment().stage_index; }
    const Ring& ring() const { return session_.assignment().ring; }
    /// Returns whether `hello`, said by `peer`, comes from the stage before this one.
    bool expects(const PeerHello& hello, const PeerIdentity& peer) const;
    /// Returns whether results leave over the link to the head.
    bool next_is_head() const;
    StageNeighbours& neighbours() { return neighbours_; }
    const StageNeighbours& neighbours() const { return neighbours_; }
    NodeState state() const { return state_; }
    /// What the stage does; nothing unless it serves.
    std::optional<StageActivity> activity() const;
    WorkerStageView view() const;

    // StagePorts
    void stage_progress(const LoadProgress& progress) override;
    void stage_loaded(const StageLoaded& loaded) override;
    void stage_ready(const StageReady& ready) override;
    void stage_failed(const StageFailed& failed) override;
    void stage_forward(ForwardedPart part) override;
    void stage_return(ReturnedPart part) override;
    void stage_retire(RetiredPart part) override;
    void stage_feedback(TokenFeedback tokens) override;

private:
    void begin(PipelineEpoch epoch, NodeState state);
    bool next_is_here() const;
    template <typename Item>
    void send_next(Lane lane, Item item);
    void fail(StatusCode code, const std::string& reason, bool next_unreachable = false);
    void report_ready();

    std::string device_;
    WorkerStagePorts& ports_;
    const Clock& clock_;
    Log log_;
    StageNeighbours neighbours_;
    StageSession session_;
    NodeState state_ = NodeState::joined;
    bool pages_ready_ = false;
    PipelineEpoch epoch_;
    LoadProgress progress_;
    std::uint64_t kv_blocks_ = 0;
};

}  // namespace molink
