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

/// The weights of a model folder in safetensors files: one, or the shards that an index names. A
/// shard is opened when a tensor in it is first used, and pages are read when they are accessed, so
/// a stage reads only its own layers. Move-only. Thread-safe.
class Checkpoint final : public WeightSource {
public:
    /// Errors: not_found (lists the searched files), data_loss (index or header), and those of
    /// MappedFile::open.
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
    /// Returns a view of mapped memory. Errors: not_found, unimplemented (stored type), data_loss
    /// (shard), and those of MappedFile::open (missing shard).
    Result<TensorView> tensor(std::string_view name) const override;
    void will_need(const TensorView& tensor) const override;
    void release(const TensorView& tensor) const override;
    /// Opens every shard.
    Result<std::uint64_t> content_hash() const override;

private:
    struct State;
    explicit Checkpoint(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace molink
