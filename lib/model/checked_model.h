#pragma once

#include <filesystem>
#include <memory>

#include <molink/status.h>

#include "loader/model_folder.h"
#include "loader/weight_source.h"
#include "model/arch_table.h"

namespace molink {

/// Describes a model by its configuration and its weights together. Where they disagree, this is an
/// error, or a warning in Described::warnings if published checkpoints do so and it is known what
/// is meant: a tied configuration with another stored LM head (which is used), and a stated weight
/// type that is not the stored one (which is used). Every tensor of the model must be there with
/// its shape, and no stored tensor may be left over. Reads headers, and the LM head if it is stored
/// twice. Errors: those of describe_model(), of ModelFolder and of WeightSource; data_loss naming
/// tensor and key.
Result<Described> describe_checked(const ConfigFile& config, const WeightSource& source);

/// A described model with its opened weights. Everything of a process that reads weights shares
/// one, so that all of it reads the same files. Immutable and therefore thread-safe.
struct OpenedModel {
    Described described;
    std::unique_ptr<const WeightSource> weights;
};

/// Opens the model in a folder. Errors: those of ModelFolder and describe_checked().
Result<std::shared_ptr<const OpenedModel>> open_model(const std::filesystem::path& dir);

}  // namespace molink
