#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include <molink/cluster.h>
#include <molink/engine.h>

#include "base/log.h"
#include "engine/engine_core.h"
#include "node/head_config.h"
#include "node/membership.h"
#include "node/part_router.h"
#include "node/part_watch.h"
#include "node/pipeline_ports.h"
#include "pipeline/pipeline_build.h"
#include "pipeline/stage_session.h"

namespace molink {

/// A pipeline on the head: its plan, its epochs, its engine core and the stages that the head
/// holds. An epoch goes from loading to ready and ends when a stage is lost; requests end with it.
/// Believes a message only when it comes from the process that the ring names. Thread: the head's
/// loop.
class Pipeline final : public StagePorts {
public:
    struct Parts {
        std::unique_ptr<Scheduler> scheduler;   ///< null for the default one
        RequestEventSink& events;               ///< must outlive the pipeline, as all below
        std::vector<StageExecutor*> executors;  ///< of the head's devices, in their order
        const Clock& clock;
    };
    /// `config`, `membership` and `ports` must outlive it.
    Pipeline(PipelineId id, const HeadConfig& config, Parts parts, const Membership& membership,
             PipelinePorts& ports, Log log);

    PipelineId id() const { return id_; }
    EngineCore& core() { return core_; }
    const EngineCore& core() const { return core_; }
    EngineState state() const { return state_; }
    /// Its stages are loading or serve.
    bool active() const { return router_.is_open(); }
    PipelineEpoch epoch() const { return router_.epoch(); }
    /// Empty while it is not active.
    const Ring& ring() const { return router_.ring(); }
    std::int64_t kv_blocks() const { return kv_blocks_; }
    /// The latest plan; without stages while there is none.
    const PartitionReport& partition() const { return partition_; }
    /// Returns whether stages are loaded and the head still reads its own files to check them.
    bool checks_tensors() const;
    /// Adds what a node does in this pipeline to its description.
    void describe(NodeInfo& node) const;

    /// Remembers a plan without building it.
    void show(PartitionReport plan);
    /// Begins an epoch with the plan's stages. Errors: invalid_argument when they are no ring.
    Status build(PartitionReport plan);
    /// Ends the epoch, and its requests with `reason`. Nothing while it is not active.
    void end(const Status& reason);

    /// What the head's own stages have done since.
    void pump();
    /// Brings what the scheduler knows of the links up to date.
    void refresh_links();
    /// Fails a stage that stands still, while it loads or serves.
    void check_progress();
    void step() { core_.step(clock_.now_us()); }

    /// The epoch that a message of a stage belongs to; nothing for any other message.
    static std::optional<PipelineEpoch> epoch_of(const Message& message);
    /// A message with such an epoch from a process, which its first node stands for.
    void handle(NodeId process, Message message);
    /// The node that a report is about; nothing when it is not of the current epoch.
    std::optional<NodeId> node_of(const StageLinkReport& report) const;
    /// Keeps what a process says that its stages do.
    void note_activities(NodeId process, std::span<const StageActivity> activities);

    // StagePorts, for the head's own stages
    void stage_progress(const LoadProgress& progress) override;
    void stage_loaded(const StageLoaded& loaded) override;
    void stage_ready(const StageReady& ready) override;
    void stage_failed(const StageFailed& failed) override;
    void stage_forward(ForwardedPart part) override;
    void stage_return(ReturnedPart part) override;
    void stage_retire(RetiredPart part) override;
    void stage_feedback(TokenFeedback tokens) override;

private:
    /// A device of the head.
    struct OwnStage {
        NodeId node;
        std::unique_ptr<StageSession> session;
    };
    /// How far a stage is; in the order of the ring.
    struct StageStatus {
        NodeState state = NodeState::loading;
        std::int64_t weight_bytes = 0;
        std::int64_t loaded_bytes = 0;
        std::int64_t kv_blocks = 0;
        std::optional<StageLoaded> unchecked;  ///< until its tensors are judged
        /// Since when it loads, or starts, without progress; none while nothing is asked of it.
        std::optional<std::int64_t> asked_us;
    };

    Result<Ring> make_ring(const PartitionPlan& plan) const;
    Assign make_assign(std::size_t stage) const;
    std::uint16_t lowest_minor() const;
    std::uint64_t max_kv_blocks() const;
    std::vector<StageSession*> own_sessions(const Ring& ring) const;
    bool owns(NodeId process, std::optional<std::size_t> stage) const;
    void on_progress(const LoadProgress& progress);
    void on_loaded(const StageLoaded& loaded);
    void on_ready(const StageReady& ready);
    ModelPart part_of(std::size_t stage) const;
    bool judge_tensors(std::uint32_t stage);
    void judge_loaded();
    void accept_loaded(const StageLoaded& loaded);
    void fail_stage(std::uint32_t stage, const Status& reason, Failure failure);
    void on_failed(const StageFailed& failed);
    bool check_loading(std::uint32_t stage);
    void check_parts();
    void start_stages();
    void tell_end();
    void serve();
    StageView stage_view(std::size_t stage) const;
    std::int32_t compute_domain(std::size_t stage) const;
    std::vector<LinkModel> links() const;
    std::int64_t head_detour_us() const;
    void on_stage_message(NodeId process, const Message& message);
    void on_input(NodeId process, StageInput input);
    void on_retired(NodeId process, const RetiredPart& retired);

    PipelineId id_;
    const HeadConfig& config_;
    const Membership& membership_;
    PipelinePorts& ports_;
    const Clock& clock_;
    Log log_;
    std::vector<OwnStage> own_;
    PartRouter router_;
    EngineCore core_;
    PipelineBuild build_;
    PartitionReport partition_;
    EngineState state_ = EngineState::waiting;
    std::vector<StageStatus> stages_;
    std::int64_t kv_blocks_ = 0;
    PartWatch watch_;
    std::uint32_t last_epoch_ = 0;
};

}  // namespace molink
