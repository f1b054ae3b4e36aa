#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <molink/engine.h>

#include "base/limits.h"
#include "base/log.h"
#include "channel/channel_hub.h"
#include "node/cluster_planner.h"
#include "node/head_config.h"
#include "node/link_prober.h"
#include "node/membership.h"
#include "node/pipeline.h"
#include "node/pipeline_ports.h"

namespace molink {

/// The head of a cluster as a state machine without I/O. It routes messages between peer links and
/// those that own their matter: Membership (who is here), ClusterPlanner (which nodes hold what),
/// Pipeline (stages and requests). It decides what a fault costs: a node, or a pipeline. Advances
/// by messages (HubSink), its own stages' events and tick(). Thread: the node's loop.
class HeadNode final : public HubSink, public PipelinePorts {
public:
    /// `clock`, `events` and `executors` (one for each device of the identity; they are not used
    /// without local_stage) must outlive it. Call attach() before anything else.
    HeadNode(HeadConfig config, HeadPolicies policies, RequestEventSink& events, const Clock& clock,
             std::vector<StageExecutor*> executors, Log log);
    ~HeadNode() override;

    /// `hub` must outlive all use of the head.
    void attach(ChannelHub& hub);

    /// Timers, local stages' events, planning. Call after every hub poll.
    void tick();
    /// When tick() is due at the latest, on the clock.
    std::int64_t next_timer_us() const {
        return std::min({next_heartbeat_us_, next_access_us_, prober_.next_timer_us(),
                         planner_.next_timer_us()});
    }
    /// Tells every worker that the cluster closes. Flush the hub afterwards.
    void farewell();
    /// Nothing is left to send.
    bool flushed() const;

    const NodeIdentity& identity() const { return config_.identity; }
    /// The pipeline that requests go to.
    Pipeline& pipeline() { return *pipelines_.front(); }
    const Pipeline& pipeline() const { return *pipelines_.front(); }
    ClusterView view() const;
    /// Why no pipeline can be built from the nodes that are here; ok while there is hope.
    const Status& build_error() const { return build_error_; }
    std::vector<LinkMetrics> link_metrics() const;
    /// Grows whenever view() would differ in more than times and progress.
    std::uint64_t change_count() const { return change_count_; }

    // HubSink
    bool permits(const PublicKey& key) override;
    void on_link_up(PeerLinkId link, bool dialed) override;
    void on_link_interrupted(PeerLinkId link) override;
    void on_link_resumed(PeerLinkId link) override;
    void on_link_lost(PeerLinkId link, const Status& reason) override;
    void on_resolved(PeerLinkId link, const Status& outcome) override;
    void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override;
    // PipelinePorts
    void send(NodeId node, Lane lane, PipelineEpoch epoch, const Message& message) override;
    std::size_t pending_bytes(NodeId node) const override;
    LinkModel link(NodeId from, NodeId to, PipelineEpoch epoch) const override;
    void begin_epoch(PipelineEpoch epoch) override;
    void lose_node(NodeId node, const std::string& reason) override;
    void stage_failed(NodeId node, const StageFailed& failed, Failure failure) override;
    void leave_out(NodeId node, const Status& reason) override;
    void pipeline_serves() override;
    void pipeline_ended(const Status& reason) override;
    void pipeline_changed() override { ++change_count_; }

private:
    // Strangers and members
    void handle_stranger(PeerLinkId link, const Message& message);
    void handle_member(NodeId process, Message message);
    void on_hello(PeerLinkId link, const Hello& hello);
    Status replace_former(const PeerIdentity& peer, const Hello& hello);
    void on_enrol(PeerLinkId link, const Enrol& enrol);
    Access access_of(PeerLinkId link) const;
    void refresh_access(std::int64_t now_us);
    void report_unknown_keys();
    void lose_node(NodeId node, const Status& reason);
    NodeId culprit_of(NodeId node, const StageFailed& failed);
    Status admit(const std::vector<Member>& nodes);
    void refuse(PeerLinkId link, const Status& reason);
    void dismiss(PeerLinkId link, const Refuse& words);
    void lose_overdue(std::int64_t now_us);
    void beat(std::int64_t now_us);
    std::vector<NodeInfo> node_infos() const;
    std::vector<NodeInfo> fit_nodes() const;

    // Planning
    void try_build();
    bool survey_links(const std::vector<NodeId>& order);
    void set_reports(NodeId process, const Heartbeat& heartbeat);
    void on_probe(NodeId process, const LinkProbe& probe);
    void fail_build(const Status& reason);
    Pipeline* find_pipeline(PipelineId id);

    HeadConfig config_;
    const Clock& clock_;
    Log log_;
    ChannelHub* hub_ = nullptr;
    Membership membership_;
    ClusterPlanner planner_;
    LinkProber prober_;
    std::vector<std::unique_ptr<Pipeline>> pipelines_;  // at least one

    Status build_error_;
    std::string last_error_;
    bool local_stage_failed_ = false;
    bool rebuild_ = true;
    std::uint64_t heartbeat_ = 0;
    std::int64_t next_heartbeat_us_ = 0;
    std::int64_t next_access_us_ = limits::kLongestUs;
    std::uint64_t change_count_ = 0;
    std::uint64_t unknown_keys_ = 0;        // handshakes that were refused since the last log line
    std::optional<PublicKey> unknown_key_;  // the last of them
};

}  // namespace molink
