#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/log.h"
#include "engine/engine_core.h"
#include "node/pipeline_ports.h"
#include "pipeline/stage_session.h"
#include "ring/ring.h"

namespace molink {

/// Moves the parts and tokens of one pipeline between its engine core, the head's own stages and
/// other nodes, as the ring of the current epoch says. Outside an epoch nothing moves. Thread: the
/// head's loop.
class PartRouter final : public PartSink {
public:
    /// All must outlive it.
    PartRouter(PipelinePorts& ports, const Clock& clock, Log log)
        : ports_(ports), clock_(clock), log_(log) {}

    /// `ring` is not empty. `own`: [stages] the sessions of the head's own stages, which must
    /// outlive the epoch; null for those of workers.
    void open(PipelineEpoch epoch, Ring ring, std::vector<StageSession*> own);
    void close();
    bool is_open() const { return !ring_.empty(); }
    bool is_current(PipelineEpoch epoch) const { return is_open() && epoch == epoch_; }
    /// Empty outside an epoch.
    const Ring& ring() const { return ring_; }
    /// The current epoch, or the last one.
    PipelineEpoch epoch() const { return epoch_; }

    // PartSink, for the engine core.
    void launch(PartPlan plan) override;
    std::size_t backlog_bytes() const override;

    /// The session of the head's own stage with this place in the ring; null when a worker has it.
    StageSession* own(std::size_t stage) const {
        return stage < own_.size() ? own_[stage] : nullptr;
    }

    /// From an own stage to the stage that the part is for.
    void forward(StageInput input);
    /// From an own stage to the first stage.
    void feed_back(TokenFeedback tokens);
    /// From a worker to the own stage that the part is for. Errors: those of StageSession::submit.
    Status deliver(StageInput input);

private:
    void route(StageInput input);

    PipelinePorts& ports_;
    const Clock& clock_;
    Log log_;
    Ring ring_;
    std::vector<StageSession*> own_;
    PipelineEpoch epoch_;
};

}  // namespace molink
