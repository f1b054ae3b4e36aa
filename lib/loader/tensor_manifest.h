#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <molink/status.h>

#include "tensor/tensor_hash.h"

namespace molink {

/// What the tensors of a model held when they were first loaded: their hashes by
/// LoadedTensor::text(), in a file of their own. It finds files that have changed since, and saves
/// the head from reading all layers at every start.
class TensorManifest {
public:
    using Hashes = std::map<std::string, TensorHash>;

    /// Returns the folder for such files: $MOLINK_CACHE_DIR, or $XDG_CACHE_HOME/molink, or
    /// $HOME/.cache/molink. Nothing if none of them is set, or MOLINK_CACHE_DIR is set but empty.
    static std::optional<std::filesystem::path> folder();

    /// The manifest of the model with this hash in `folder`. Nothing is read or written yet.
    TensorManifest(const std::filesystem::path& folder, std::uint64_t model_hash);

    const std::filesystem::path& file() const { return file_; }
    /// Returns the hashes; none when there is no file. Errors: those of parse_json_file, data_loss
    /// (not a manifest of this model).
    Result<Hashes> read() const;
    /// Replaces the file; a reader sees the old one or the new one. Errors: unavailable,
    /// resource_exhausted.
    Status write(const Hashes& hashes) const;

private:
    std::filesystem::path file_;
    std::string model_;  // its hash as text
};

}  // namespace molink
