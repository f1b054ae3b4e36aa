// Code that all sources of weights share: it checks shapes and selects rows of a tensor by bytes.
// Every stored format has complete rows, even if values share a scale, because such groups lie
// along the innermost dimension.
#include "loader/weight_source.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"

namespace molink {

std::string shape_text(const std::vector<std::int64_t>& shape) {
    return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string TensorRef::text() const {
    return rows ? tensor_rows_text(name, rows->begin, rows->end) : name;
}

Result<StoredTensor> WeightSource::tensor(std::string_view name,
                                          std::span<const std::int64_t> shape) const {
    return find(TensorRef(std::string(name)), shape);
}

Result<StoredTensor> WeightSource::find(const TensorRef& ref) const {
    MOLINK_ASSIGN_OR_RETURN(StoredTensor found, tensor(ref.name));
    if (!ref.rows) return found;
    const std::int64_t stored = found.shape.empty() ? 0 : found.shape[0];
    if (ref.rows->begin < 0 || ref.rows->end <= ref.rows->begin || ref.rows->end > stored) {
        return make_error(StatusCode::data_loss,
                          "read model {}: '{}' is out of range; the tensor has {} rows", where(),
                          ref.text(), stored);
    }
    const std::size_t row_bytes = found.row_bytes();
    found.first_row = ref.rows->begin;
    found.offset += static_cast<std::uint64_t>(ref.rows->begin) * row_bytes;
    found.shape[0] = ref.rows->end - ref.rows->begin;
    found.bytes = static_cast<std::uint64_t>(found.shape[0]) * row_bytes;
    return found;
}

Result<StoredTensor> WeightSource::find(const TensorRef& ref,
                                        std::span<const std::int64_t> shape) const {
    MOLINK_ASSIGN_OR_RETURN(StoredTensor found, find(ref));
    const std::vector<std::int64_t> wanted(shape.begin(), shape.end());
    if (found.shape != wanted) {
        return make_error(StatusCode::data_loss,
                          "read model {}: tensor '{}' has shape {}; the configuration asks for {}",
                          where(), ref.text(), shape_text(found.shape), shape_text(wanted));
    }
    return found;
}

Result<Bytes> read_tensor(const WeightSource& source, const StoredTensor& tensor) {
    MOLINK_ASSIGN_OR_RETURN(const auto reader, source.reader(tensor));
    Bytes bytes(static_cast<std::size_t>(tensor.bytes));
    MOLINK_RETURN_IF_ERROR(reader->read(0, tensor.rows(), bytes.data()));
    MOLINK_RETURN_IF_ERROR(reader->finish());
    return bytes;
}

Result<TensorHash> hash_tensor(const WeightSource& source, const StoredTensor& tensor,
                               const std::function<bool()>& go_on) {
    constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
    MOLINK_ASSIGN_OR_RETURN(const auto reader, source.reader(tensor));
    const std::size_t row_bytes = tensor.row_bytes();
    const auto rows = static_cast<std::int64_t>(
        std::max<std::size_t>(kPieceBytes / std::max<std::size_t>(row_bytes, 1), 1));
    Bytes piece;
    TensorHash hash;
    for (std::int64_t at = 0; at < tensor.rows(); at += rows) {
        if (go_on && !go_on()) return Status(StatusCode::cancelled, "reading was stopped");
        const std::int64_t count = std::min(rows, tensor.rows() - at);
        piece.resize(static_cast<std::size_t>(count) * row_bytes);
        MOLINK_RETURN_IF_ERROR(reader->read(at, count, piece.data()));
        hash += hash_rows(piece.data(), tensor.first_row + at, count, row_bytes);
    }
    MOLINK_RETURN_IF_ERROR(reader->finish());
    return hash;
}

}  // namespace molink
