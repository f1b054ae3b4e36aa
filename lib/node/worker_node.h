#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include <molink/worker.h>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "node/head_link.h"
#include "node/link_prober.h"
#include "node/node_identity.h"
#include "node/stage_neighbours.h"
#include "pipeline/stage_session.h"
#include "wire/messages.h"

namespace molink {

struct WorkerConfig {
    NodeIdentity identity;
    std::string join;
    std::int64_t join_within_us = 0;
    std::int64_t head_lost_after_us = 0;
    std::int64_t reconnect_within_us = 0;
};

/// A worker as a state machine without I/O. It joins the head, holds the stage that it is assigned,
/// passes parts on, and ends when the head says so or is lost. Thread: the node's loop.
class WorkerNode final : public HubSink, public StagePorts {
public:
    /// `clock` and `executor` must outlive it. Call attach() before anything else.
    WorkerNode(WorkerConfig config, const Clock& clock, StageExecutor& executor, Log log);
    ~WorkerNode() override;

    /// Begins to dial the head. `advertise`: what other workers dial.
    Status attach(ChannelHub& hub, const std::string& advertise);

    /// Timers and the stage's events. Call after every hub poll.
    void tick();
    std::int64_t next_timer_us() const {
        return std::min(next_heartbeat_us_, prober_.next_timer_us());
    }
    /// Tells the head that this node leaves. Flush the hub afterwards.
    void farewell();
    /// Nothing is left to send to the head.
    bool flushed() const { return !head_.up() || hub_->pending_bytes(head_.link()) == 0; }

    bool over() const { return outcome_.has_value(); }
    /// Returns how it ended. Only when over().
    const Status& outcome() const { return *outcome_; }
    WorkerView view() const;

    // HubSink
    void on_link_up(PeerLinkId link, bool dialed) override;
    void on_link_interrupted(PeerLinkId link) override;
    void on_link_resumed(PeerLinkId link) override;
    void on_link_lost(PeerLinkId link, const Status& reason) override;
    void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override;
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
    void end(Status outcome);
    void send_head(Lane lane, const Message& message);
    void handle_head(Message message);
    void report_probes(std::int64_t now_us);
    void beat(std::int64_t now_us);
    void handle_peer(PeerLinkId link, Message message);
    void on_assign(const Assign& assign);
    void on_start(const StageStart& start);
    void on_refuse(const Refuse& refuse);
    void on_input(StageInput input);
    void on_feedback(const TokenFeedback& tokens);
    void handle_work(Message message);
    bool has_stage() const;
    bool next_is_head() const;
    /// The link to the node that the stage sends to, once it is up.
    std::optional<PeerLinkId> next_link() const;
    void send_next(Lane lane, const Message& message);
    void fail_stage(StatusCode code, const std::string& reason);
    void report_ready();
    void check_liveness(std::int64_t now_us);

    WorkerConfig config_;
    const Clock& clock_;
    Log log_;
    ChannelHub* hub_ = nullptr;
    std::string advertise_;
    HeadLink head_;
    StageNeighbours neighbours_;
    LinkProber prober_;
    StageSession session_;

    NodeState state_ = NodeState::joined;
    bool pages_ready_ = false;
    PipelineEpoch epoch_;  // of the latest assignment; 0: none yet
    LoadProgress progress_;
    std::uint64_t kv_blocks_ = 0;
    std::uint64_t heartbeat_ = 0;
    std::int64_t next_heartbeat_us_ = 0;
    std::string farewell_;
    std::optional<Status> outcome_;
};

}  // namespace molink
