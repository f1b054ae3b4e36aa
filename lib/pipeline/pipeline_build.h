#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <molink/partitioner.h>
#include <molink/status.h>
#include <molink/types.h>

#include "wire/messages.h"

namespace molink {

/// One stage of the pipeline as the head knows it.
struct StageRecord {
    StagePlan plan;
    Assign assign;
    bool loaded = false;
    bool ready = false;
    std::uint64_t kv_block_capacity = 0;
};

/// The head's state machine that brings an epoch's pipeline up: assign -> every stage loaded ->
/// agree on the number of KV blocks -> every stage ready. Sends nothing itself. Thread: the head's
/// loop.
class PipelineBuild {
public:
    /// A pipeline of `epoch` from a checked plan; `assigns` as the head will send them.
    void begin(Epoch epoch, const PartitionPlan& plan, std::vector<Assign> assigns);
    void reset() { *this = PipelineBuild(); }

    bool active() const { return !stages_.empty(); }
    Epoch epoch() const { return epoch_; }
    const std::vector<StageRecord>& stages() const { return stages_; }
    const StageRecord* find(NodeId node) const;
    /// Nodes after each other in the ring; the node itself when it is unknown.
    NodeId first() const { return stages_.front().plan.node; }
    /// The node that samples, and retires parts.
    NodeId sampler() const;
    /// Where the stage of `node` sends to: the stage behind it; the last one to the first with
    /// direct feedback or when that has the LM head, else to node 0, the head.
    NodeId next_of(NodeId node) const;

    /// A stage has its weights. True when it was the last one: send StageStart to all.
    /// Errors: data_loss for a message that does not fit the state.
    Result<bool> on_loaded(NodeId node, const StageLoaded& loaded);
    /// A stage can work. True when it was the last one: the pipeline serves.
    Result<bool> on_ready(NodeId node, const StageReady& ready);
    /// The smallest stage's capacity, at most what is of use.
    std::uint64_t kv_blocks() const;

private:
    StageRecord* find_mutable(NodeId node);

    Epoch epoch_;
    std::vector<StageRecord> stages_;
};

}  // namespace molink
