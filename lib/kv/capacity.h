#pragma once

#include <cassert>
#include <cstdint>
#include <string_view>

#include <molink/partitioner.h>
#include <molink/status.h>

namespace molink {

/// Returns the number of KV blocks for `positions` positions of one sequence.
constexpr std::int64_t blocks_for(std::int64_t positions, std::int32_t block_tokens) {
    assert(positions >= 0 && block_tokens > 0);
    return (positions + block_tokens - 1) / block_tokens;
}

/// Memory of a stage.
struct StageMemory {
    std::int64_t memory_bytes = 0;  ///< memory that the stage may use
    std::int64_t weight_bytes = 0;
    std::int64_t workspace_bytes = 0;
    std::int64_t sequence_state_bytes = 0;  ///< state of one sequence, all layers
    std::int64_t sequences = 0;             ///< sequences that hold state at the same time
    std::int64_t kv_block_bytes = 0;        ///< one KV block, all layers
    std::int64_t max_blocks = 0;            ///< further KV blocks are useless; 0: no limit
};

/// Returns the bytes of state of all sequences: recurrent state and the cache of sliding windows.
constexpr std::int64_t state_bytes(const StageMemory& memory) {
    return memory.sequence_state_bytes * memory.sequences;
}

/// Returns the number of KV blocks that fit into the remaining memory, at most max_blocks, or -1
/// when the rest does not fit even without blocks. The head, the planner and every kind of stage
/// use this function.
std::int64_t kv_capacity(const StageMemory& memory);

/// Returns the bytes that the stage needs with `blocks` KV blocks.
std::int64_t needed_bytes(const StageMemory& memory, std::int64_t blocks);

/// Errors: resource_exhausted when `blocks` KV blocks do not fit, with the needed bytes by kind and
/// the available bytes. `stage` is the subject of the message, such as "a stage of one layer".
Status check_capacity(std::string_view stage, const StageMemory& memory, std::int64_t blocks);

/// Returns the sizes of a stage with these layers of `model`. The caller sets memory_bytes.
StageMemory stage_memory(const PartitionModel& model, LayerRange layers, bool has_embedding,
                         bool has_lm_head);

/// Returns the layer that needs the least memory as a stage of its own, with min_blocks KV blocks
/// and without embedding and LM head. The first of equal layers wins. `model` must have layers.
std::int32_t smallest_layer(const PartitionModel& model);

}  // namespace molink
