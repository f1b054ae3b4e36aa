// The memory of a stage as its backend lays it out, for stages that compute and for timed stages.
// The head plans with the same sizes (node/node_identity.cpp) and the same formula (kv/capacity.h).
// Relies on the sizes of cache and workspace that the model states.
#include "stage/stage_memory.h"

#include "base/error.h"
#include "kv/capacity.h"

namespace molink {

Result<std::uint64_t> offered_blocks(const Backend& backend, const ModelSpec& spec,
                                     const StageConfig& config, std::uint64_t weight_bytes,
                                     const CacheFormat& cache) {
    std::size_t block_bytes = 0;
    for (std::int32_t i = config.layers.begin; i < config.layers.end; ++i) {
        block_bytes += layer_cache_block_bytes(backend, spec, i, cache);
    }
    StageMemory memory;
    memory.memory_bytes = static_cast<std::int64_t>(config.memory_bytes);
    memory.weight_bytes = static_cast<std::int64_t>(weight_bytes);
    memory.workspace_bytes = static_cast<std::int64_t>(part_workspace_bytes(
        backend, spec,
        {config.max_rows, config.max_context, config.max_sequences, cache.block_tokens}));
    memory.kv_block_bytes = static_cast<std::int64_t>(block_bytes);
    memory.max_blocks = static_cast<std::int64_t>(config.max_kv_blocks);
    const std::string stage =
        fmt::format("a stage of layers {}-{}", config.layers.begin, config.layers.end - 1);
    MOLINK_RETURN_IF_ERROR(check_capacity(stage, memory, 1));
    return static_cast<std::uint64_t>(kv_capacity(memory));
}

}  // namespace molink
