#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// A view of a stored tensor.
struct TensorView {
    std::string name;
    DataType type = DataType::f32;    ///< tensors of one model may have different types
    std::vector<std::int64_t> shape;  ///< outermost first; empty: a scalar
    const std::byte* data = nullptr;  ///< rows in order; any alignment; lives as long as the source
    std::size_t bytes = 0;
};

/// Returns a text such as "[32000, 2048]".
std::string shape_text(const std::vector<std::int64_t>& shape);

/// Rows [begin, end) of a tensor's outermost dimension.
struct TensorRows {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    friend bool operator==(const TensorRows&, const TensorRows&) = default;
};

/// Refers to a weight: a stored tensor or rows of one, because some checkpoints store queries, keys
/// and values as one matrix. An empty name means that the model has no such weight.
struct TensorRef {
    std::string name;
    std::optional<TensorRows> rows;

    TensorRef() = default;
    explicit TensorRef(std::string stored) : name(std::move(stored)) {}
    TensorRef(std::string stored, TensorRows some) : name(std::move(stored)), rows(some) {}
    bool empty() const { return name.empty(); }
    /// Returns "NAME" or "NAME rows 0-63".
    std::string text() const;
};

/// The weights of a model, independent of the format of their files. Thread-safe.
class WeightSource {
public:
    virtual ~WeightSource() = default;

    /// Returns the place of the weights, for messages.
    virtual std::string where() const = 0;
    virtual bool has(std::string_view name) const = 0;
    /// Returns all tensor names, sorted.
    virtual std::vector<std::string> names() const = 0;
    /// Returns a stored tensor, valid as long as this object. Errors: not_found, unimplemented
    /// (stored type), data_loss, and those of opening a file.
    virtual Result<TensorView> tensor(std::string_view name) const = 0;
    /// Does the same. Also returns data_loss when the shape differs from `shape`, with both shapes.
    Result<TensorView> tensor(std::string_view name, std::span<const std::int64_t> shape) const;
    /// Returns the tensor that `ref` names, with this shape. Errors: the same, and data_loss when
    /// the stored tensor has too few rows.
    Result<TensorView> find(const TensorRef& ref, std::span<const std::int64_t> shape) const;

    /// Hints that the tensor will be read soon.
    virtual void will_need(const TensorView& tensor) const = 0;
    /// Releases the tensor's memory, so that resident memory falls after packing. The view stays
    /// valid.
    virtual void release(const TensorView& tensor) const = 0;

    /// Returns a hash over names, shapes, stored types, places and samples of the data.
    virtual Result<std::uint64_t> content_hash() const = 0;
};

}  // namespace molink
