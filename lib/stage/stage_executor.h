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
#include "work/part.h"
#include "work/retired_part.h"

namespace molink {

/// What a stage holds and its bounds; fixed for one epoch.
struct StageConfig {
    PipelineEpoch epoch;
    RingShape ring;
    std::size_t stage = 0;  ///< of the ring
    LayerRange layers;
    DataType activation_type = DataType::f32;  ///< of the rows for the next stage
    std::int32_t max_rows = 0;                 ///< of one part
    std::int32_t max_sequences = 0;
    std::int32_t max_context = 0;     ///< positions of one sequence
    std::uint64_t memory_bytes = 0;   ///< weights, workspace and KV together
    std::uint64_t max_kv_blocks = 0;  ///< more are of no use

    bool has_embedding() const { return ring.has_embedding(stage); }
    bool has_lm_head() const { return ring.has_lm_head(stage); }
    bool is_last() const { return ring.is_last(stage); }
    /// Does `input` meet the LM head here?
    bool samples(const StageInput& input) const {
        return has_lm_head() && (is_last() || is_returned(input));
    }
    /// Layers that `input` goes through here: none when it returns to the LM head.
    std::int32_t layers_for(const StageInput& input) const {
        return is_returned(input) ? 0 : layers.size();
    }
};

enum class StageEventKind : std::uint8_t { progress, loaded, ready, result, failed };

/// What a stage tells its node.
struct StageEvent {
    StageEventKind kind = StageEventKind::failed;
    PipelineEpoch epoch;
    std::uint64_t done_bytes = 0;         ///< progress
    std::uint64_t total_bytes = 0;        ///< progress
    std::uint64_t weight_bytes = 0;       ///< loaded
    std::uint64_t kv_block_capacity = 0;  ///< loaded
    StageOutput result;                   ///< result
    Status status;                        ///< failed: the stage can do nothing more in this epoch
};

/// The compute side of a node: takes parts, gives completions. Real, simulated and timed stages
/// implement it. Calls return at once; their outcome is fetched with poll().
///
/// Sequences: the opens of a part are known from then on, its new blocks are appended to the
/// sequence's table, its releases are forgotten. Urgent parts (is_urgent) overtake the others;
/// among themselves parts keep their order. A part of another epoch is dropped. What comes out of a
/// part follows from the ring: forwarded to the next stage, returned to the LM head on the first
/// stage, or retired; its stage times include this stage's.
///
/// Thread: all calls from the node's loop. `notify`, given at creation, is called from any thread
/// when poll() has something; it must not block.
class StageExecutor {
public:
    virtual ~StageExecutor() = default;
    /// Drops what it holds, then loads the layers. -> progress*, loaded | failed
    virtual void load(const StageConfig& config) = 0;
    /// Allocates the KV pages. Only after loaded. -> ready | failed
    virtual void start(std::uint64_t kv_blocks) = 0;
    /// Only after ready. `arrival_us` is when the part arrived, on the node's clock.
    /// -> result | failed
    virtual void submit(StageInput input, std::int64_t arrival_us) = 0;
    /// Takes the next event; false when there is none.
    virtual bool poll(StageEvent& event) = 0;
};

}  // namespace molink
