#pragma once

#include <cstddef>
#include <cstdint>

#include "base/log.h"
#include "engine/engine_core.h"
#include "node/pipeline_ports.h"
#include "pipeline/stage_session.h"
#include "ring/ring.h"

namespace molink {

/// Moves the parts and tokens of one pipeline between its engine core, the head's own stage and
/// other nodes, as the ring of the current epoch says. Outside an epoch nothing moves. Thread: the
/// head's loop.
class PartRouter final : public PartSink {
public:
    /// `session`: null without a local stage. All must outlive it.
    PartRouter(PipelinePorts& ports, StageSession* session, const Clock& clock, Log log)
        : ports_(ports), session_(session), clock_(clock), log_(log) {}

    /// `ring` is not empty.
    void open(PipelineEpoch epoch, Ring ring);
    void close() { ring_ = Ring(); }
    bool is_open() const { return !ring_.empty(); }
    bool is_current(PipelineEpoch epoch) const { return is_open() && epoch == epoch_; }
    /// Empty outside an epoch.
    const Ring& ring() const { return ring_; }
    /// The current epoch, or the last one.
    PipelineEpoch epoch() const { return epoch_; }

    // PartSink, for the engine core.
    void launch(PartPlan plan) override;
    std::size_t backlog_bytes() const override;

    /// From the head's own stage to the one behind it.
    void send_next(StageInput input);
    /// From the head's own stage to the first one.
    void send_first(TokenFeedback tokens);
    /// From the node before the head to the head's own stage. Errors: those of
    /// StageSession::submit.
    Status deliver(StageInput input);

private:
    void route(NodeId node, StageInput input);

    PipelinePorts& ports_;
    StageSession* session_;
    const Clock& clock_;
    Log log_;
    Ring ring_;
    PipelineEpoch epoch_;
};

}  // namespace molink
