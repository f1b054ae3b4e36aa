#pragma once

#include <cstdint>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "backend/backend.h"
#include "model/model.h"
#include "stage/stage_executor.h"

namespace molink {

/// Returns the number of KV blocks that fit on a stage of `config` beside `weight_bytes` of weights
/// and the workspace of the model on `backend`. Errors: resource_exhausted, with the numbers, when
/// no block fits.
Result<std::uint64_t> offered_blocks(const Backend& backend, const ModelSpec& spec,
                                     const StageConfig& config, std::uint64_t weight_bytes,
                                     const CacheFormat& cache);

}  // namespace molink
