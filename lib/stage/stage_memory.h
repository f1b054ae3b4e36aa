#pragma once

#include <cstdint>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "backend/backend.h"
#include "stage/stage_executor.h"

namespace molink {

/// How a stage's KV cache is laid out.
struct StageKvLayout {
    ElementType type = ElementType::f32;
    std::int32_t block_tokens = 0;
};

/// KV blocks that a stage of `config` can offer beside `weight_bytes` of weights and the workspace
/// of the model on `backend`. Errors: resource_exhausted, with the numbers, when not one fits.
Result<std::uint64_t> offered_blocks(const Backend& backend, const ModelSpec& spec,
                                     const StageConfig& config, std::uint64_t weight_bytes,
                                     const StageKvLayout& kv);

}  // namespace molink
