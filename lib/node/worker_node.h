#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <molink/worker.h>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "node/head_link.h"
#include "node/link_prober.h"
#include "node/node_identity.h"
#include "node/strangers.h"
#include "node/worker_stage.h"
#include "wire/messages.h"

namespace molink {

struct WorkerConfig {
    NodeIdentity identity;
    DialTarget join{""};      ///< the head; with the pass of a token, if there is one
    bool introduced = false;  ///< the head is said to know the node's key: the pass comes second
    PeerIdentity self;        ///< the node's own key
    /// Called once the head has accepted the node's key, on the node's loop.
    std::function<void()> on_enrolled;
    std::int64_t join_within_us = 0;  ///< see WorkerOptions, as the next one
    std::int64_t give_up_after_us = 0;
    std::int64_t head_lost_after_us = 0;
    std::int64_t reconnect_within_us = 0;
};

/// A worker as a state machine without I/O. It joins the head and gives messages to the stages that
/// they are for. When the head is gone it joins again, until its patience ends or the head refuses
/// it for a reason that lasts. Thread: the node's loop.
class WorkerNode final : public HubSink, public WorkerStagePorts {
public:
    /// `clock` and `executors` (one for each device of the identity) must outlive it. Call attach()
    /// before anything else.
    WorkerNode(WorkerConfig config, const Clock& clock, std::vector<StageExecutor*> executors,
               Log log);
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
    bool permits(const PublicKey& key) override;
    void on_link_up(PeerLinkId link, bool dialed) override;
    void on_link_interrupted(PeerLinkId link) override;
    void on_link_resumed(PeerLinkId link) override;
    void on_link_lost(PeerLinkId link, const Status& reason) override;
    void on_resolved(PeerLinkId link, const Status& outcome) override;
    void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override;
    // WorkerStagePorts
    void send_head(Lane lane, PipelineEpoch epoch, const Message& message) override;
    WorkerStage* find_stage(PipelineEpoch epoch, std::size_t index) override;

private:
    void end(Status outcome);
    void leave_head(const Status& reason);
    void give_up_in_time(std::int64_t now_us);
    void handle_head(Message message);
    void report_probes(std::int64_t now_us);
    void beat(std::int64_t now_us);
    std::vector<StageLinkReport> link_reports() const;
    std::vector<StageActivity> activities() const;
    void handle_peer(PeerLinkId link, Message message);
    void refuse_peer(PeerLinkId link);
    void on_assign(const Assign& assign);
    void on_start(const StageStart& start);
    void on_end_epoch(const EndEpoch& over);
    void on_refuse(const Refuse& refuse);
    Status dial_head();
    void redial_head(std::int64_t now_us);
    void change_key(std::int64_t now_us);
    void stop_enrolling();
    bool is_stale(PipelineEpoch epoch) const;
    bool speaks_for(PeerLinkId link, const Message& message) const;
    void check_liveness(std::int64_t now_us);
    NodeState state() const;

    WorkerConfig config_;
    const Clock& clock_;
    Log log_;
    ChannelHub* hub_ = nullptr;
    std::string advertise_;
    HeadLink head_;
    bool enrolling_;  // the present link to the head introduces the node's key
    Strangers strangers_;
    LinkProber prober_;
    std::vector<std::unique_ptr<WorkerStage>> stages_;  // one for each device

    std::map<NodeId, PublicKey> peers_;  // that may dial this node, as the head says

    PipelineEpoch epoch_;      // of the latest assignment; 0: none yet
    bool epoch_over_ = false;  // the head has ended it
    std::uint64_t heartbeat_ = 0;
    std::int64_t next_heartbeat_us_ = 0;
    std::string farewell_;
    std::optional<Status> outcome_;
};

}  // namespace molink
