#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <molink/engine.h>

#include "base/log.h"
#include "channel/channel_hub.h"
#include "engine/engine_core.h"
#include "node/link_prober.h"
#include "node/link_survey.h"
#include "node/node_identity.h"
#include "pipeline/pipeline_build.h"
#include "pipeline/stage_session.h"
#include "wire/messages.h"

namespace molink {

struct HeadConfig {
    NodeIdentity identity;
    PartitionModel partition_model;
    bool local_stage = true;
    DataType wire_type = DataType::f32;
    std::int32_t max_running = 0;
    std::int32_t max_step_tokens = 0;
    std::int32_t max_context = 0;
    PartitionObjective objective = PartitionObjective::throughput;
    PartitionWorkload workload;
    bool plan_only = false;
    bool direct_feedback = true;
    LmHead lm_head = LmHead::automatic;
    bool probe_links = true;
    std::int64_t node_lost_after_us = 0;
    std::int64_t reconnect_within_us = 0;
};

struct HeadPolicies {
    std::unique_ptr<Cluster> cluster;
    std::unique_ptr<Partitioner> partitioner;
};

/// The head of a cluster as a state machine without I/O: membership, building pipelines, routing
/// parts, noticing lost nodes. Advances by messages (HubSink), its own stage's events and tick();
/// the engine core inside owns the requests. Production drives it with a loop thread, a simulator
/// with virtual time. Thread: the node's loop.
class HeadNode final : public HubSink, public StagePorts, public PartSink {
public:
    /// `clock`, `executor` (null without a local stage) and what `policies` hold outlive nothing
    /// else; attach() must follow before anything else.
    HeadNode(HeadConfig config, HeadPolicies policies, const Clock& clock, StageExecutor* executor,
             Log log);
    ~HeadNode() override;

    /// The hub and the engine core it works with; both must outlive it.
    void attach(ChannelHub& hub, EngineCore& core);

    /// Timers, the local stage's events, planning. Call after every hub poll.
    void tick();
    /// When tick() is due at the latest, on the clock.
    std::int64_t next_timer_us() const {
        return std::min({next_heartbeat_us_, prober_.next_timer_us(), survey_.next_timer_us()});
    }
    /// Tells every worker that the cluster closes. Flush the hub afterwards.
    void farewell();
    /// Nothing is left to send.
    bool flushed() const;

    const NodeIdentity& identity() const { return config_.identity; }
    EngineState state() const { return state_; }
    ClusterView view() const;
    /// Why no pipeline can be built from the nodes that are here; ok while there is hope.
    const Status& build_error() const { return build_error_; }
    std::int64_t kv_blocks() const { return kv_blocks_; }
    /// The latest plan; without stages while there is none.
    const PartitionReport& partition() const { return partition_; }
    std::vector<LinkMetrics> link_metrics() const;
    /// Grows whenever view() would differ in more than times and progress.
    std::uint64_t change_count() const { return change_count_; }

    // HubSink
    void on_link_up(LinkId link, bool dialed) override;
    void on_link_interrupted(LinkId link) override;
    void on_link_resumed(LinkId link) override;
    void on_link_lost(LinkId link, const Status& reason) override;
    void on_message(LinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override;
    // PartSink
    void launch(PartPlan plan) override;
    std::size_t backlog_bytes() const override;
    // StagePorts, for the head's own stage
    void stage_progress(const LoadProgress& progress) override;
    void stage_loaded(const StageLoaded& loaded) override;
    void stage_ready(const StageReady& ready) override;
    void stage_failed(const StageFailed& failed) override;
    void stage_forward(ForwardedPart part) override;
    void stage_return(ReturnedPart part) override;
    void stage_retire(RetiredPart part) override;
    void stage_feedback(TokenFeedback tokens) override;

private:
    static constexpr NodeId kHead = kHeadNode;

    struct Member {
        NodeInfo info;
        LinkId link;
        NodeProfile profile;
        bool memory_own = false;
        std::int64_t offered_bytes = 0;
        std::int64_t interrupted_us = 0;           // 0: connected
        std::optional<StageLinkReport> next_link;  // as it reported last
    };

    Member* find_member(NodeId node);
    const Member* find_member(NodeId node) const;
    Member* member_of(LinkId link);

    // head_members.cpp: who is here
    void lose_former(const std::string& address);
    void on_hello(LinkId link, const Hello& hello);
    void refuse(LinkId link, const Status& reason);
    void dismiss(LinkId link, const Refuse& words);
    void close_doomed(std::int64_t now_us);
    void lose_node(NodeId node, const std::string& reason);
    void check_liveness(std::int64_t now_us);
    std::vector<NodeInfo> member_infos() const;

    // head_links.cpp: measuring links before a plan
    bool survey_links(const std::vector<NodeId>& order);
    std::vector<PartitionLink> known_links(const std::vector<NodeId>& order) const;
    void on_probe(NodeId node, const LinkProbe& probe);
    bool take_prober(LinkId link, const Message& message);

    // head_build.cpp: bringing a pipeline up and down
    void try_build();
    Result<PartitionInput> partition_input(const std::vector<NodeId>& order) const;
    Result<PartitionPlan> plan_partition(const PartitionInput& input);
    void begin_build(const PartitionPlan& plan);
    void note_left_out(const PartitionPlan& plan);
    Result<Ring> make_ring(const PartitionPlan& plan) const;
    Assign make_assign(std::size_t stage) const;
    std::uint64_t max_kv_blocks() const;
    std::int64_t memory_share(const Member& member) const;
    void on_progress(NodeId node, const LoadProgress& progress);
    void on_loaded(NodeId node, const StageLoaded& loaded);
    void on_ready(NodeId node, const StageReady& ready);
    void on_failed(NodeId node, const StageFailed& failed);
    StageView stage_view(std::size_t stage) const;
    std::vector<LinkModel> stage_links() const;
    void serve();
    void end_pipeline(const Status& reason);

    // head_node.cpp: the way of messages
    void handle(NodeId node, Message message);
    void on_input(NodeId node, StageInput input);
    void on_retire(NodeId node, const RetiredPart& retired);
    void on_feedback(NodeId node, const TokenFeedback& tokens);
    void send(NodeId node, Lane lane, const Message& message);
    void route(NodeId node, StageInput input);
    /// A pipeline is loading or serves.
    bool active() const { return !ring_.empty(); }
    void changed() { ++change_count_; }

    HeadConfig config_;
    HeadPolicies policies_;
    const Clock& clock_;
    Log log_;
    std::unique_ptr<StageSession> session_;  // null without a local stage
    ChannelHub* hub_ = nullptr;
    EngineCore* core_ = nullptr;

    EngineState state_ = EngineState::waiting;
    std::vector<Member> members_;
    std::unordered_map<LinkId, NodeId> node_of_link_;
    std::map<LinkId, std::int64_t> strangers_;  // connected, no hello yet: since when
    std::map<LinkId, std::int64_t> doomed_;     // told to go, closed when told or at this time
    LinkSurvey survey_;
    LinkProber prober_;
    PipelineBuild build_;
    PartitionReport partition_;
    Ring ring_;  // empty while there is no pipeline
    PipelineEpoch epoch_;
    std::int64_t kv_blocks_ = 0;
    Status build_error_;
    std::string last_error_;
    std::uint32_t next_node_ = 1;
    std::uint64_t heartbeat_ = 0;
    std::int64_t next_heartbeat_us_ = 0;
    bool local_stage_failed_ = false;
    bool rebuild_ = true;
    std::uint64_t change_count_ = 0;
};

}  // namespace molink
