#pragma once

#include <cstdint>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "ring/ring.h"
#include "wire/messages.h"

namespace molink {

/// The head's state machine that builds the pipeline of an epoch: assigned -> every stage loaded ->
/// number of KV blocks agreed -> every stage ready. It sends nothing itself. Thread: the head's
/// loop.
class PipelineBuild {
public:
    /// Begins to build the stages of `ring`. More than `max_kv_blocks` blocks are useless.
    void begin(PipelineEpoch epoch, const Ring& ring, std::uint64_t max_kv_blocks);
    void reset() { *this = PipelineBuild(); }

    /// A stage has loaded its weights. Returns true if all have; the caller then sends StageStart
    /// to all. Errors: data_loss for a message that does not match the state.
    Result<bool> on_loaded(NodeId node, const StageLoaded& loaded);
    /// A stage is ready. Returns true if all are; the pipeline then serves requests.
    Result<bool> on_ready(NodeId node, const StageReady& ready);
    /// Capacity of the smallest stage, at most max_kv_blocks.
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
