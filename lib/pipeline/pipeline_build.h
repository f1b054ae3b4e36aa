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
    /// Begins to build the stages of `ring`. A pipeline with fewer than `min_kv_blocks` blocks is
    /// useless, and so are more than `max_kv_blocks`.
    void begin(PipelineEpoch epoch, const Ring& ring, std::uint64_t min_kv_blocks,
               std::uint64_t max_kv_blocks);
    void reset() { *this = PipelineBuild(); }

    /// A stage has loaded its weights. Returns true if all have; the caller then sends StageStart
    /// to all. Errors: data_loss for a message that does not match the state, resource_exhausted
    /// for a stage with room for fewer than min_kv_blocks.
    Result<bool> on_loaded(const StageLoaded& loaded);
    /// A stage is ready. Returns true if all are; the pipeline then serves requests. Errors:
    /// data_loss.
    Result<bool> on_ready(const StageReady& ready);
    /// Capacity of the smallest stage, at most max_kv_blocks.
    std::uint64_t kv_blocks() const { return kv_blocks_; }

private:
    struct Stage {
        NodeId node;
        bool loaded = false;
        bool ready = false;
    };
    /// Returns the stage that a message is about, or null if there is none in this epoch.
    Stage* find(PipelineEpoch epoch, std::uint32_t stage_index);

    PipelineEpoch epoch_;
    std::vector<Stage> stages_;
    std::uint64_t min_kv_blocks_ = 1;
    std::uint64_t kv_blocks_ = 0;
};

}  // namespace molink
