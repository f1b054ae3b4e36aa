#pragma once

#include <cstdint>
#include <filesystem>

#include <molink/status.h>

namespace molink {

/// Identity of a model folder, equal on every machine that holds the same model: the content of
/// config.json (not its layout), tensor names, shapes, offsets, stored types, and 64 KiB of each
/// file's data at its begin, middle and end. Takes milliseconds. Not meant to resist an adversary.
/// Errors: as ConfigFile::load and Checkpoint::content_hash.
Result<std::uint64_t> model_hash(const std::filesystem::path& dir);

}  // namespace molink
