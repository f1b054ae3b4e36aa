#pragma once

#include <cstdint>
#include <filesystem>

#include <molink/status.h>

#include "loader/config_file.h"
#include "loader/weight_source.h"

namespace molink {

/// Returns the identity of a model folder, which is equal on every machine with the same model. It
/// covers the content of config.json (not its layout), tensor names, shapes, offsets, stored types,
/// and 64 KiB at the begin, the middle and the end of each file's data. It takes milliseconds and
/// does not resist an adversary. Errors: those of ConfigFile::load and Checkpoint::content_hash.
Result<std::uint64_t> model_hash(const std::filesystem::path& dir);
/// Does the same for a folder whose files are open.
Result<std::uint64_t> model_hash(const ConfigFile& config, const WeightSource& weights);

}  // namespace molink
