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

/// A tensor where it is stored.
struct TensorView {
    std::string name;
    DataType type = DataType::f32;    ///< its own; tensors of one model may differ
    std::vector<std::int64_t> shape;  ///< outermost first; empty: a scalar
    const std::byte* data = nullptr;  ///< row after row; any alignment; lives as long as the source
    std::size_t bytes = 0;
};

/// "[32000, 2048]".
std::string shape_text(const std::vector<std::int64_t>& shape);

/// Rows [begin, end) of a tensor's outermost dimension.
struct TensorRows {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    friend bool operator==(const TensorRows&, const TensorRows&) = default;
};

/// Which tensor a weight is: a stored one, or rows of one (checkpoints that store queries, keys and
/// values as one matrix). An empty name means that the model has none.
struct TensorRef {
    std::string name;
    std::optional<TensorRows> rows;

    TensorRef() = default;
    explicit TensorRef(std::string stored) : name(std::move(stored)) {}
    TensorRef(std::string stored, TensorRows some) : name(std::move(stored)), rows(some) {}
    bool empty() const { return name.empty(); }
    /// "NAME", or "NAME rows 0-63".
    std::string text() const;
};

/// The weights of a model, whatever file holds them. Thread-safe.
class WeightSource {
public:
    virtual ~WeightSource() = default;

    /// Where the weights are, for messages.
    virtual std::string where() const = 0;
    virtual bool has(std::string_view name) const = 0;
    /// All tensor names, sorted.
    virtual std::vector<std::string> names() const = 0;
    /// A stored tensor; valid as long as this object. Errors: not_found, unimplemented (stored
    /// type), data_loss, those of opening a file.
    virtual Result<TensorView> tensor(std::string_view name) const = 0;
    /// The same, and data_loss when its shape is another one (names both).
    Result<TensorView> tensor(std::string_view name, std::span<const std::int64_t> shape) const;
    /// What `ref` names, of this shape. Errors: the same, and data_loss when the stored tensor has
    /// not so many rows.
    Result<TensorView> find(const TensorRef& ref, std::span<const std::int64_t> shape) const;

    /// Hint: the tensor will be read soon.
    virtual void will_need(const TensorView& tensor) const = 0;
    /// Gives the tensor's memory back, so that resident memory falls after packing; the view stays
    /// valid.
    virtual void release(const TensorView& tensor) const = 0;

    /// Hash over names, shapes, stored types, places and samples of the data.
    virtual Result<std::uint64_t> content_hash() const = 0;
};

}  // namespace molink
