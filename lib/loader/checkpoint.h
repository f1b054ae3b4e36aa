#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>

#include "loader/safetensors.h"
#include "loader/weight_source.h"

namespace molink {

/// The weights of a model folder in safetensors files: one, or the shards that an index names. The
/// header of a shard is read when a tensor in it is first asked for, and data when it is loaded, so
/// a stage reads only its own layers. Move-only. Thread-safe.
class Checkpoint final : public WeightSource {
public:
    /// Errors: not_found (lists the searched files), data_loss (index or header), and those of
    /// InputFile::open.
    static Result<Checkpoint> open(const std::filesystem::path& dir);

    Checkpoint(Checkpoint&&) noexcept;
    Checkpoint& operator=(Checkpoint&&) noexcept;
    ~Checkpoint() override;

    std::string where() const override;
    bool has(std::string_view name) const override;
    std::vector<std::string> names() const override;
    /// Returns the paths of the weight files, sorted.
    std::vector<std::string> files() const;

    using WeightSource::tensor;
    /// Errors: not_found, unimplemented (stored type), data_loss (shard), and those of
    /// InputFile::open (missing shard).
    Result<StoredTensor> tensor(std::string_view name) const override;
    Result<std::unique_ptr<TensorReader>> reader(const StoredTensor& tensor) const override;
    /// Compares the index with the shards. Errors: data_loss for a tensor that two shards have, or
    /// that is in another shard than the index says; those of tensor().
    Result<std::vector<std::string>> conflicts() const override;
    /// Reads the header of every shard.
    Result<std::uint64_t> content_hash() const override;

private:
    struct State;
    explicit Checkpoint(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace molink
