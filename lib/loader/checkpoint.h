#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>

#include "loader/safetensors.h"

namespace molink {

/// The weights of a model folder: model.safetensors, or the shards that
/// model.safetensors.index.json names. Shards are opened when a tensor in them is first asked for,
/// and pages are read when touched, so a stage reads only its own layers. Move-only. Thread-safe.
class Checkpoint {
public:
    /// Errors: not_found (lists what was looked for), data_loss (index or header), as
    /// MappedFile::open.
    static Result<Checkpoint> open(const std::filesystem::path& dir);

    Checkpoint(Checkpoint&&) noexcept;
    Checkpoint& operator=(Checkpoint&&) noexcept;
    ~Checkpoint();

    bool has(std::string_view name) const;
    /// All tensor names, sorted.
    std::vector<std::string> names() const;
    /// The weight files, sorted, with the folder.
    std::vector<std::string> files() const;

    /// A view on the map, valid as long as this object. Errors: not_found, unimplemented (stored
    /// type), data_loss (shard), as MappedFile::open (shard missing).
    Result<TensorView> tensor(std::string_view name) const;
    /// The same, and data_loss when its shape is another one (names both).
    Result<TensorView> tensor(std::string_view name, std::span<const std::int64_t> shape) const;

    /// Hint: the tensor will be read soon.
    void will_need(const TensorView& tensor) const;
    /// Gives the tensor's pages back, so that resident memory falls after packing; the view stays
    /// valid.
    void release(const TensorView& tensor) const;

    /// Hash over names, shapes, stored types, offsets and samples of each file's data. Opens every
    /// shard.
    Result<std::uint64_t> content_hash() const;

private:
    struct State;
    explicit Checkpoint(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace molink
