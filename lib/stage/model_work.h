#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <molink/options.h>
#include <molink/status.h>

#include "model/checked_model.h"
#include "stage/stage_work.h"

namespace molink {

struct ModelWorkOptions {
    std::string model_dir;
    std::shared_ptr<const OpenedModel> model;  ///< null: the one in `model_dir` is opened
    WeightFormat weights = WeightFormat::native;
    DataType kv_type = DataType::f32;
    std::int32_t block_tokens = 16;
    std::int32_t threads = 0;
    std::string backend = "cpu";  ///< see open_device()
};

/// Makes the work of a stage that computes a real model on a backend of this machine.
/// Errors: of open_device() and ModelFolder.
Result<std::unique_ptr<StageWork>> make_model_work(const ModelWorkOptions& options);

}  // namespace molink
