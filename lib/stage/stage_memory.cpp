// The memory of a stage as its backend lays it out, for stages that compute and for timed ones. The
// head plans with the same sizes (node/node_identity.cpp) and the same formula (kv/capacity.h).
// Relies on the model to state the bytes of its workspace.
#include "stage/stage_memory.h"

#include "base/error.h"
#include "kv/capacity.h"
#include "model/model.h"

namespace molink {

Result<std::uint64_t> offered_blocks(const Backend& backend, const ModelSpec& spec,
                                     const StageConfig& config, std::uint64_t weight_bytes,
                                     const StageKvLayout& kv) {
    const std::size_t layer_block = backend.kv_block_bytes(kv.block_tokens, spec.attention.kv_heads,
                                                           spec.attention.head_dim, kv.type);
    StageMemory memory;
    memory.memory_bytes = static_cast<std::int64_t>(config.memory_bytes);
    memory.weight_bytes = static_cast<std::int64_t>(weight_bytes);
    memory.workspace_bytes = static_cast<std::int64_t>(part_workspace_bytes(
        backend, spec,
        {config.max_rows, config.max_context, config.max_sequences, kv.block_tokens}));
    memory.kv_block_bytes = config.layers.size() * static_cast<std::int64_t>(layer_block);
    memory.max_blocks = static_cast<std::int64_t>(config.max_kv_blocks);
    const std::string stage =
        fmt::format("a stage of layers {}-{}", config.layers.begin, config.layers.end - 1);
    MOLINK_RETURN_IF_ERROR(check_capacity(stage, memory, 1));
    return static_cast<std::uint64_t>(kv_capacity(memory));
}

}  // namespace molink
