#pragma once

#include <cstdint>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "ring/ring.h"
#include "wire/messages.h"

namespace molink {

/// The head's state machine that brings an epoch's pipeline up: assigned -> every stage loaded ->
/// number of KV blocks agreed -> every stage ready. Sends nothing itself. Thread: the head's loop.
class PipelineBuild {
public:
    /// Begins to bring up the stages of `ring`. More than `max_kv_blocks` blocks are of no use.
    void begin(PipelineEpoch epoch, const Ring& ring, std::uint64_t max_kv_blocks);
    void reset() { *this = PipelineBuild(); }

    /// A stage has its weights. True when it was the last one: send StageStart to all.
    /// Errors: data_loss for a message that does not fit the state.
    Result<bool> on_loaded(NodeId node, const StageLoaded& loaded);
    /// A stage can work. True when it was the last one: the pipeline serves.
    Result<bool> on_ready(NodeId node, const StageReady& ready);
    /// The smallest stage's capacity, at most what is of use.
    std::uint64_t kv_blocks() const { return kv_blocks_; }

private:
    struct Stage {
        NodeId node;
        bool loaded = false;
        bool ready = false;
    };
    Stage* find(NodeId node);

    PipelineEpoch epoch_;
    std::vector<Stage> stages_;
    std::uint64_t kv_blocks_ = 0;
};

}  // namespace molink
