#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <molink/clock.h>
#include <molink/options.h>
#include <molink/status.h>

#include "stage/stage_executor.h"

namespace molink {

struct LocalExecutorOptions {
    std::string model_dir;
    WeightMode weights = WeightMode::native;
    DataType kv_type = DataType::f32;
    std::int32_t block_tokens = 16;
    std::int32_t threads = 0;
    std::string backend = "cpu";
};

/// A stage on this machine: one compute thread that owns backend, weights and pages. `clock` must
/// outlive it. Errors: of make_backend, ConfigFile and Checkpoint.
Result<std::unique_ptr<StageExecutor>> make_local_executor(const LocalExecutorOptions& options,
                                                           const Clock& clock,
                                                           std::function<void()> notify);

}  // namespace molink
