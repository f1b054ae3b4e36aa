// The only formula for the KV capacity of a stage. The planner, the head, real stages, timed stages
// and simulated stages use it, so that a plan that fits also fits on the node. Relies on sizes that
// come from the backend of the stage.
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
/// Messages show smaller sizes in bytes.
constexpr std::int64_t kExactBelow = 10 * kMib;

std::string size_text(std::int64_t bytes) {
    if (bytes < kExactBelow) return fmt::format("{} bytes", bytes);
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / kMib);
}

}  // namespace

std::int64_t needed_bytes(const StageMemory& memory, std::int64_t blocks) {
    return memory.weight_bytes + memory.workspace_bytes + state_bytes(memory) +
           blocks * memory.kv_block_bytes;
}

std::int64_t kv_capacity(const StageMemory& memory) {
    assert(memory.weight_bytes >= 0 && memory.workspace_bytes >= 0 && state_bytes(memory) >= 0);
    const std::int64_t rest = memory.memory_bytes - needed_bytes(memory, 0);
    if (rest < 0) return -1;
    const std::int64_t of_use =
        memory.max_blocks > 0 ? memory.max_blocks : std::numeric_limits<std::int64_t>::max();
    return memory.kv_block_bytes <= 0 ? of_use : std::min(of_use, rest / memory.kv_block_bytes);
}

Status check_capacity(std::string_view stage, const StageMemory& memory, std::int64_t blocks) {
    const std::int64_t need = needed_bytes(memory, blocks);
    if (need <= memory.memory_bytes) return {};
    std::string state;
    if (state_bytes(memory) > 0) {
        state = fmt::format(", state of {} sequences {}", memory.sequences,
                            size_text(state_bytes(memory)));
    }
    return make_error(StatusCode::resource_exhausted,
                      "{} needs {}: weights {}, workspace {}{}, {} KV block{} {}; {} are available",
                      stage, size_text(need), size_text(memory.weight_bytes),
                      size_text(memory.workspace_bytes), state, blocks, blocks == 1 ? "" : "s",
                      size_text(blocks * memory.kv_block_bytes), size_text(memory.memory_bytes));
}

void set_kv_bounds(PartitionModel& model, std::int32_t context, std::int32_t max_running) {
    const auto least = std::min<std::int64_t>(context, limits::kMinKvPositions);
    model.min_blocks = blocks_for(least, model.block_tokens);
    model.max_blocks = blocks_for(context, model.block_tokens) * max_running;
    model.max_sequences = max_running;
}

StageMemory stage_memory(const PartitionModel& model, LayerRange layers, bool has_embedding,
                         bool has_lm_head) {
    StageMemory memory;
    for (std::int32_t i = layers.begin; i < layers.end; ++i) {
        const PartitionLayer& layer = model.layers[static_cast<std::size_t>(i)];
        memory.weight_bytes += layer.weight_bytes;
        memory.sequence_state_bytes += layer.state_bytes;
        memory.kv_block_bytes += layer.kv_block_bytes;
    }
    if (has_embedding) memory.weight_bytes += model.embedding_bytes;
    if (has_lm_head) memory.weight_bytes += model.lm_head_bytes;
    memory.workspace_bytes = model.workspace_bytes;
    memory.sequences = model.max_sequences;
    memory.max_blocks = model.max_blocks;
    return memory;
}

std::int32_t smallest_layer(const PartitionModel& model) {
    const auto need = [&](std::int32_t i) {
        return needed_bytes(stage_memory(model, {i, i + 1}, false, false), model.min_blocks);
    };
    std::int32_t smallest = 0;
    for (std::int32_t i = 1; i < model.layer_count(); ++i) {
        if (need(i) < need(smallest)) smallest = i;
    }
    return smallest;
}

}  // namespace molink
