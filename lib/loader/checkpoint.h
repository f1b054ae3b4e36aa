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

/// The weights of a model folder in safetensors files: one, or the shards that an index names.
/// Shards are opened when a tensor in them is first asked for, and pages are read when touched, so
/// a stage reads only its own layers. Move-only. Thread-safe.
class Checkpoint final : public WeightSource {
public:
    /// Errors: not_found (lists what was looked for), data_loss (index or header), as
    /// MappedFile::open.
    static Result<Checkpoint> open(const std::filesystem::path& dir);

    Checkpoint(Checkpoint&&) noexcept;
    Checkpoint& operator=(Checkpoint&&) noexcept;
    ~Checkpoint() override;

    std::string where() const override;
    bool has(std::string_view name) const override;
    std::vector<std::string> names() const override;
    /// The weight files, sorted, with the folder.
    std::vector<std::string> files() const;

    using WeightSource::tensor;
    /// A view on the map. Errors: not_found, unimplemented (stored type), data_loss (shard), as
    /// MappedFile::open (shard missing).
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
