// The one formula for the KV capacity of a stage. The head plans with it, real and timed stages
// offer blocks by it and the simulator counts with it, so that a plan which fits on paper fits on
// the node. Relies on sizes that the caller has from the backend that will hold the stage.
#include "kv/capacity.h"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/limits.h"

namespace molink {
namespace {

constexpr std::int64_t kMib = 1 << 20;
/// Smaller sizes are given to the byte.
constexpr std::int64_t kExactBelow = 10 * kMib;

std::string size_text(std::int64_t bytes) {
    if (bytes < kExactBelow) return fmt::format("{} bytes", bytes);
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / kMib);
}

}  // namespace

std::int64_t needed_bytes(const StageMemory& memory, std::int64_t blocks) {
    return memory.weight_bytes + memory.workspace_bytes + blocks * memory.kv_block_bytes;
}

std::int64_t kv_capacity(const StageMemory& memory) {
    const std::int64_t rest = memory.memory_bytes - needed_bytes(memory, 0);
    if (rest < 0) return -1;
    const std::int64_t of_use =
        memory.max_blocks > 0 ? memory.max_blocks : std::numeric_limits<std::int64_t>::max();
    return memory.kv_block_bytes <= 0 ? of_use : std::min(of_use, rest / memory.kv_block_bytes);
}

Status check_capacity(std::string_view stage, const StageMemory& memory, std::int64_t blocks) {
    const std::int64_t need = needed_bytes(memory, blocks);
    if (need <= memory.memory_bytes) return {};
    return make_error(StatusCode::resource_exhausted,
                      "{} needs {}: weights {}, workspace {}, {} KV block{} {}; {} are available",
                      stage, size_text(need), size_text(memory.weight_bytes),
                      size_text(memory.workspace_bytes), blocks, blocks == 1 ? "" : "s",
                      size_text(blocks * memory.kv_block_bytes), size_text(memory.memory_bytes));
}

void set_kv_bounds(PartitionModel& model, std::int32_t context, std::int32_t max_running) {
    const auto least = std::min<std::int64_t>(context, limits::kMinKvPositions);
    model.min_blocks = blocks_for(least, model.block_tokens);
    model.max_blocks = blocks_for(context, model.block_tokens) * max_running;
}

StageMemory stage_memory(const PartitionModel& model, LayerRange layers, bool has_embedding,
                         bool has_lm_head) {
    StageMemory memory;
    memory.weight_bytes = layers.size() * model.layer_bytes +
                          (has_embedding ? model.embedding_bytes : 0) +
                          (has_lm_head ? model.head_bytes : 0);
    memory.workspace_bytes = model.workspace_bytes;
    memory.kv_block_bytes = layers.size() * model.kv_layer_block_bytes;
    memory.max_blocks = model.max_blocks;
    return memory;
}

}  // namespace molink
