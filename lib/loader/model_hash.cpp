// The identity of a model, which a head and its workers compare at join. It uses samples instead of
// all bytes: two checkpoints of one shape differ everywhere, and reading 100 GB would take minutes.
// Relies on Checkpoint for a fixed order of files and tensors.
#include "loader/model_hash.h"

#include "base/error.h"
#include "base/hash.h"
#include "loader/checkpoint.h"
#include "loader/config_file.h"

namespace molink {

Result<std::uint64_t> model_hash(const std::filesystem::path& dir) {
    MOLINK_ASSIGN_OR_RETURN(const ConfigFile config, ConfigFile::load(dir));
    MOLINK_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(dir));
    return model_hash(config, checkpoint);
}

Result<std::uint64_t> model_hash(const ConfigFile& config, const WeightSource& weights) {
    MOLINK_ASSIGN_OR_RETURN(const std::uint64_t content, weights.content_hash());
    return hash_string(config.canonical_text(), content);
}

}  // namespace molink
