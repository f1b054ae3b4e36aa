#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "base/bytes.h"
#include "tensor/tensor_hash.h"

namespace molink {

/// A stored tensor, or rows of one: what it is, and where a source finds its bytes.
struct StoredTensor {
    std::string name;
    DataType type = DataType::f32;    ///< tensors of one model may have different types
    std::vector<std::int64_t> shape;  ///< outermost first; empty: a scalar
    std::uint64_t bytes = 0;          ///< rows in order
    std::uint64_t offset = 0;         ///< of the first byte, as the source counts
    std::int64_t first_row = 0;       ///< of the stored tensor

    /// Returns the size of the outermost dimension; 1 for a scalar.
    std::int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
    std::size_t row_bytes() const {
        return rows() == 0 ? 0 : static_cast<std::size_t>(bytes) / static_cast<std::size_t>(rows());
    }
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
    friend bool operator==(const TensorRef&, const TensorRef&) = default;
};

/// Reads the rows of one stored tensor. It must not outlive its source. Thread: any, several at
/// once.
class TensorReader {
public:
    virtual ~TensorReader() = default;
    /// Copies rows [begin, begin + count) to `out`, counted within the tensor. Errors: data_loss
    /// when they cannot be read, with file, tensor and offset.
    virtual Status read(std::int64_t begin, std::int64_t count, std::byte* out) const = 0;
    /// Call it after the last read(). Errors: data_loss when the file was changed meanwhile, so
    /// that the rows may not belong together.
    virtual Status finish() const = 0;
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
    /// Describes a stored tensor. Errors: not_found, unimplemented (stored type), data_loss, and
    /// those of opening a file.
    virtual Result<StoredTensor> tensor(std::string_view name) const = 0;
    /// Does the same. Also returns data_loss when the shape differs from `shape`, with both shapes.
    Result<StoredTensor> tensor(std::string_view name, std::span<const std::int64_t> shape) const;
    /// Describes the tensor that `ref` names, with this shape. Errors: the same, and data_loss when
    /// the stored tensor has too few rows.
    Result<StoredTensor> find(const TensorRef& ref, std::span<const std::int64_t> shape) const;
    /// Describes the tensor that `ref` names, whatever its shape. Errors: the same.
    Result<StoredTensor> find(const TensorRef& ref) const;

    /// Opens a tensor of this source for reading, and hints that its bytes will be read soon.
    /// Errors: data_loss when its file is not the one that this source has opened first, and those
    /// of opening a file.
    virtual Result<std::unique_ptr<TensorReader>> reader(const StoredTensor& tensor) const = 0;

    /// Reads all headers and returns a warning for each statement about the stored tensors that
    /// is wrong, but not needed. Errors: data_loss for one that is needed, and those of opening a
    /// file.
    virtual Result<std::vector<std::string>> conflicts() const {
        return std::vector<std::string>();
    }

    /// Returns a hash over names, shapes, stored types, places and samples of the data.
    virtual Result<std::uint64_t> content_hash() const = 0;
};

/// Reads a whole tensor. Errors: those of WeightSource::reader and of TensorReader.
Result<Bytes> read_tensor(const WeightSource& source, const StoredTensor& tensor);

/// Reads a tensor and returns its hash. Stops with `cancelled` when `go_on` returns false, which it
/// is asked once per MiB. Errors: those of WeightSource::reader and of TensorReader.
Result<TensorHash> hash_tensor(const WeightSource& source, const StoredTensor& tensor,
                               const std::function<bool()>& go_on = {});

}  // namespace molink
