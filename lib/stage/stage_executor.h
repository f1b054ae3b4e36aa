#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <molink/clock.h>
#include <molink/status.h>
#include <molink/types.h>

#include "ring/ring.h"
#include "tensor/activation_codec.h"
#include "tensor/tensor_hash.h"
#include "work/part.h"
#include "work/retired_part.h"

namespace molink {

/// The layers and the bounds of a stage, fixed for one epoch.
struct StageConfig {
    PipelineEpoch epoch;
    RingShape ring;
    std::size_t stage = 0;  ///< index in the ring
    LayerRange layers;
    ActivationFormat activation_format;  ///< of the rows for the next stage
    std::int32_t max_rows = 0;           ///< of one part
    std::int32_t max_sequences = 0;
    std::int32_t max_context = 0;     ///< positions of one sequence
    std::uint64_t memory_bytes = 0;   ///< weights, workspace and KV together
    std::uint64_t max_kv_blocks = 0;  ///< further KV blocks are useless; 0: no limit

    bool has_embedding() const { return ring.has_embedding(stage); }
    bool has_lm_head() const { return ring.has_lm_head(stage); }
    bool is_last() const { return ring.is_last(stage); }
    /// Returns whether this stage computes the logits of `input`.
    bool samples(const StageInput& input) const {
        return has_lm_head() && (is_last() || is_returned(input));
    }
    /// Returns the number of layers that `input` goes through here: 0 for a returned part.
    std::int32_t layers_for(const StageInput& input) const {
        return is_returned(input) ? 0 : layers.size();
    }
};

enum class StageEventKind : std::uint8_t { progress, loaded, ready, result, failed };

/// An event of a stage for its node.
struct StageEvent {
    StageEventKind kind = StageEventKind::failed;
    PipelineEpoch epoch;
    std::uint64_t done_bytes = 0;         ///< progress
    std::uint64_t total_bytes = 0;        ///< progress
    std::uint64_t weight_bytes = 0;       ///< loaded
    std::uint64_t kv_block_capacity = 0;  ///< loaded
    std::vector<LoadedTensor> tensors;    ///< loaded; empty for stages without weights
    StageOutput result;                   ///< result
    Status status;                        ///< failed: the stage can do nothing more in this epoch
};

/// Computes the parts of a stage. Real, simulated and timed stages implement this interface. Calls
/// return at once; poll() returns their outcome as events.
///
/// A part opens sequences, appends its new blocks to their block tables, and releases sequences,
/// which the stage then forgets. Urgent parts (is_urgent()) overtake prefill parts as PartQueue
/// decides; urgent parts keep their order, and so do the others. A part of another epoch is
/// dropped. The ring decides the output of a part: it is forwarded to the next stage, returned to
/// the LM head on the first stage, or retired. Its stage times include those of this stage.
///
/// Thread: the node's loop, for all calls. `notify`, given at creation, is called from any thread
/// when poll() has an event; it must not block.
class StageExecutor {
public:
    virtual ~StageExecutor() = default;
    /// Drops the epoch before, then loads the layers. -> progress*, loaded | failed
    virtual void load(const StageConfig& config) = 0;
    /// Allocates the KV pages. Call it only after loaded. -> ready | failed
    virtual void start(std::uint64_t kv_blocks) = 0;
    /// Queues a part. Call it only after ready. `arrival_us` is the time when the part arrived, on
    /// the node's clock. -> result | failed
    virtual void submit(StageInput input, std::int64_t arrival_us) = 0;
    /// Drops the epoch. Its layers and pages stay for the next load(). No event follows.
    virtual void drop() = 0;
    /// Drops the epoch, and frees layers and pages. No event follows.
    virtual void unload() = 0;
    /// Moves the next event to `event`. Returns false when there is none.
    virtual bool poll(StageEvent& event) = 0;
};

}  // namespace molink
