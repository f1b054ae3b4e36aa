#pragma once

#include <cassert>
#include <cstdint>
#include <string_view>

#include <molink/partitioner.h>
#include <molink/status.h>

namespace molink {

/// KV blocks that `positions` positions of one sequence need.
constexpr std::int64_t blocks_for(std::int64_t positions, std::int32_t block_tokens) {
    assert(positions >= 0 && block_tokens > 0);
    return (positions + block_tokens - 1) / block_tokens;
}

/// What a stage keeps in memory, in bytes where the name does not say otherwise.
struct StageMemory {
    std::int64_t memory_bytes = 0;  ///< that the stage may use
    std::int64_t weight_bytes = 0;
    std::int64_t workspace_bytes = 0;
    std::int64_t sequence_state_bytes = 0;  ///< state of one sequence, all layers
    std::int64_t sequences = 0;             ///< that hold state at once
    std::int64_t kv_block_bytes = 0;        ///< one KV block, all layers
    std::int64_t max_blocks = 0;            ///< more KV blocks are of no use; 0: every block is
};

/// Bytes of the state of all sequences: recurrent state, and the cache of sliding windows.
constexpr std::int64_t state_bytes(const StageMemory& memory) {
    return memory.sequence_state_bytes * memory.sequences;
}

/// Returns the number of KV blocks that fit beside the rest, at most max_blocks, or -1 when the
/// rest alone does not fit. The head, the planner and every kind of stage count with it.
std::int64_t kv_capacity(const StageMemory& memory);

/// Bytes that the stage needs with `blocks` KV blocks.
std::int64_t needed_bytes(const StageMemory& memory, std::int64_t blocks);

/// Errors: resource_exhausted when `blocks` KV blocks do not fit, with what is needed by kind and
/// what is available. `stage` is the subject of the message: "a stage of one layer".
Status check_capacity(std::string_view stage, const StageMemory& memory, std::int64_t blocks);

/// Sizes of a stage with these layers of `model`. The caller sets memory_bytes.
StageMemory stage_memory(const PartitionModel& model, LayerRange layers, bool has_embedding,
                         bool has_lm_head);

/// The first of the layers that need the least memory when one layer is a stage of its own, with
/// min_blocks KV blocks and without embedding and LM head. `model` has layers.
std::int32_t smallest_layer(const PartitionModel& model);

}  // namespace molink
