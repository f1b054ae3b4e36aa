#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <molink/worker.h>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "node/link_prober.h"
#include "node/node_identity.h"
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

/// A worker as a state machine without I/O: joins, holds the stage it is assigned, passes parts on,
/// ends when the head says so or is lost. Thread: the node's loop.
class WorkerNode final : public HubSink, public StagePorts {
public:
    /// `clock` and `executor` must outlive it; attach() must follow before anything else.
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
    bool flushed() const { return !head_up_ || hub_->pending_bytes(head_) == 0; }

    bool over() const { return outcome_.has_value(); }
    /// How it ended; only when over().
    const Status& outcome() const { return *outcome_; }
    WorkerView view() const;

    // HubSink
    void on_link_up(LinkId link, bool dialed) override;
    void on_link_interrupted(LinkId link) override;
    void on_link_resumed(LinkId link) override;
    void on_link_lost(LinkId link, const Status& reason) override;
    void on_message(LinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override;
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
    void handle_peer(LinkId link, Message message);
    void on_assign(const Assign& assign);
    void on_start(const StageStart& start);
    void on_input(StageInput input);
    void on_feedback(const TokenFeedback& tokens);
    void handle_work(Message message);
    bool has_stage() const;
    bool next_is_head() const;
    const std::string& next_address() const;
    void send_next(Lane lane, const Message& message);
    void fail_stage(StatusCode code, const std::string& reason);
    void report_ready();
    void drop_peers();
    void check_liveness(std::int64_t now_us);

    WorkerConfig config_;
    const Clock& clock_;
    Log log_;
    StageSession session_;
    LinkProber prober_;
    ChannelHub* hub_ = nullptr;
    std::string advertise_;

    std::int64_t started_us_ = 0;
    LinkId head_;
    bool head_up_ = false;
    bool welcomed_ = false;
    std::int64_t head_heard_us_ = 0;
    std::int64_t head_interrupted_us_ = 0;  // 0: connected
    std::optional<LinkId> next_;            // to the next stage, when that is a worker
    bool next_up_ = false;
    std::int64_t next_interrupted_us_ = 0;
    std::map<LinkId, std::int64_t> strangers_;  // accepted, not introduced yet: since when
    std::optional<LinkId> previous_;
    bool pages_ready_ = false;
    PipelineEpoch epoch_;  // of the latest assignment; 0: none yet
    NodeId node_{0};
    std::string head_name_;
    std::string farewell_;
    LoadProgress progress_;
    std::uint64_t kv_blocks_ = 0;
    NodeState state_ = NodeState::joined;
    std::uint64_t heartbeat_ = 0;
    std::int64_t next_heartbeat_us_ = 0;
    std::optional<Status> outcome_;
};

}  // namespace molink
