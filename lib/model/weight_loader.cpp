// Loads one tensor after the other from the source into the layout of the device. Rows are read,
// hashed and packed in pieces that fit into a cache, by the threads of the backend where it has
// some. So memory never holds a layer twice, and hashing costs little beside reading. Relies on
// DeviceCopier, which waits for each copy.
#include "model/weight_loader.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/error.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

/// Bytes of a table that are read, hashed and uploaded at once.
constexpr std::size_t kTablePieceBytes = std::size_t{1} << 20;

void widen(const Bytes& stored, DataType type, float* out) {
    const std::size_t element = data_type_bytes(type);
    for (std::size_t i = 0; i < stored.size() / element; ++i) {
        const std::byte* from = stored.data() + i * element;
        if (type == DataType::f32) {
            std::memcpy(out + i, from, 4);
            continue;
        }
        std::uint16_t bits;
        std::memcpy(&bits, from, 2);
        out[i] = type == DataType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
    }
}

/// Returns the type of a matrix that is packed from these parts.
DataType matrix_type(const std::vector<MatrixSource>& parts, WeightFormat format) {
    if (format == WeightFormat::q8_0) return DataType::q8_0;
    const DataType first = parts.front().type;
    const bool equal = std::all_of(parts.begin(), parts.end(),
                                   [&](const MatrixSource& part) { return part.type == first; });
    return equal ? first : DataType::f32;
}

}  // namespace

/// Rows of a tensor that are hashed while they are read. Thread: any, several at once.
class WeightLoader::HashedRows final : public MatrixRows {
public:
    HashedRows(const TensorRef& ref, StoredTensor tensor, std::unique_ptr<TensorReader> reader)
        : ref_(ref), tensor_(std::move(tensor)), reader_(std::move(reader)) {}

    const TensorRef& ref() const { return ref_; }
    const StoredTensor& tensor() const { return tensor_; }

    Status read(std::int64_t begin, std::int64_t count, std::byte* out) override {
        MOLINK_RETURN_IF_ERROR(reader_->read(begin, count, out));
        const TensorHash hash =
            hash_rows(out, tensor_.first_row + begin, count, tensor_.row_bytes());
        low_.fetch_add(hash.low, std::memory_order_relaxed);
        high_.fetch_add(hash.high, std::memory_order_relaxed);
        rows_.fetch_add(count, std::memory_order_relaxed);
        return {};
    }

    /// Returns the hash of all rows. Errors: those of TensorReader::finish(); internal when a row
    /// was not read exactly once.
    Result<TensorHash> finish() const {
        MOLINK_RETURN_IF_ERROR(reader_->finish());
        if (rows_.load() == tensor_.rows()) return TensorHash{low_.load(), high_.load()};
        return make_error(StatusCode::internal, "load tensor '{}': {} rows were read instead of {}",
                          ref_.text(), rows_.load(), tensor_.rows());
    }

private:
    TensorRef ref_;
    StoredTensor tensor_;
    std::unique_ptr<TensorReader> reader_;
    std::atomic<std::uint64_t> low_{0};
    std::atomic<std::uint64_t> high_{0};
    std::atomic<std::int64_t> rows_{0};
};

WeightLoader::WeightLoader(Backend& backend, const WeightSource& source, WeightFormat format)
    : backend_(&backend), source_(source), format_(format), stream_(backend.make_stream()) {
    copier_.emplace(backend, *stream_);
}

WeightLoader::WeightLoader(const WeightSource& source) : source_(source) {}

WeightLoader::~WeightLoader() = default;

Result<std::unique_ptr<WeightLoader::HashedRows>> WeightLoader::open(
    const TensorRef& ref, std::span<const std::int64_t> shape) {
    MOLINK_ASSIGN_OR_RETURN(StoredTensor tensor, source_.find(ref, shape));
    MOLINK_ASSIGN_OR_RETURN(auto reader, source_.reader(tensor));
    return std::make_unique<HashedRows>(ref, std::move(tensor), std::move(reader));
}

/// Remembers the hash of a tensor that was read. A tensor that is loaded twice, such as a tied
/// embedding, must not have changed in between.
Status WeightLoader::close(const HashedRows& rows) {
    LoadedTensor loaded;
    loaded.name = rows.ref().name;
    if (rows.ref().rows) {
        loaded.begin = rows.ref().rows->begin;
        loaded.end = rows.ref().rows->end;
    }
    MOLINK_ASSIGN_OR_RETURN(loaded.hash, rows.finish());
    const auto [known, added] = loaded_.emplace(loaded.text(), loaded);
    if (added || known->second == loaded) return {};
    return make_error(StatusCode::data_loss,
                      "load tensor '{}' of {}: it was read twice, with the hashes {} and {}",
                      loaded.text(), source_.where(), known->second.hash.text(),
                      loaded.hash.text());
}

/// Checks vectors when `k` is 0.
Status WeightLoader::check(std::initializer_list<Piece> pieces, std::int64_t k) {
    for (const Piece& piece : pieces) {
        if (piece.ref.empty()) continue;
        const std::int64_t shape[2] = {piece.n, k};
        MOLINK_ASSIGN_OR_RETURN(
            StoredTensor tensor,
            source_.find(piece.ref, std::span(shape).first(k == 0 ? std::size_t{1} : 2)));
        checked_.push_back(std::move(tensor));
    }
    return {};
}

Status WeightLoader::matrix(std::initializer_list<Piece> pieces, std::int64_t k,
                            std::unique_ptr<PackedMatrix>& out) {
    if (backend_ == nullptr) return check(pieces, k);
    std::vector<MatrixSource> parts;
    std::vector<std::unique_ptr<HashedRows>> opened;
    for (const Piece& piece : pieces) {
        const std::int64_t shape[2] = {piece.n, k};
        MOLINK_ASSIGN_OR_RETURN(auto rows, open(piece.ref, shape));
        parts.push_back({nullptr, rows->tensor().type, piece.n, k, rows.get()});
        opened.push_back(std::move(rows));
    }
    auto packed = backend_->pack(parts.data(), parts.size(), matrix_type(parts, format_));
    if (!packed) return packed.error().with_context("load " + opened[0]->ref().text());
    out = std::move(*packed);
    bytes_ += out->bytes();
    for (const auto& rows : opened) MOLINK_RETURN_IF_ERROR(close(*rows));
    return {};
}

Status WeightLoader::vectors(std::initializer_list<Piece> pieces,
                             std::unique_ptr<DeviceBuffer>& out) {
    if (backend_ == nullptr) return check(pieces, 0);
    std::vector<float> values;
    bool any = false;
    for (const Piece& piece : pieces) {
        const std::size_t begin = values.size();
        values.resize(begin + static_cast<std::size_t>(piece.n), 0.0f);
        if (piece.ref.empty()) continue;
        any = true;
        const std::int64_t shape[1] = {piece.n};
        MOLINK_ASSIGN_OR_RETURN(const auto rows, open(piece.ref, shape));
        Bytes stored(static_cast<std::size_t>(rows->tensor().bytes));
        MOLINK_RETURN_IF_ERROR(rows->read(0, piece.n, stored.data()));
        widen(stored, rows->tensor().type, values.data() + begin);
        MOLINK_RETURN_IF_ERROR(close(*rows));
    }
    if (!any) return {};
    return upload(values.data(), values.size() * sizeof(float), out);
}

Status WeightLoader::table(const Piece& piece, std::int64_t k, std::unique_ptr<DeviceBuffer>& out,
                           ElementType& type) {
    if (backend_ == nullptr) return check({piece}, k);
    const std::int64_t shape[2] = {piece.n, k};
    MOLINK_ASSIGN_OR_RETURN(const auto rows, open(piece.ref, shape));
    const StoredTensor& tensor = rows->tensor();
    type = element_type(tensor.type);
    MOLINK_ASSIGN_OR_RETURN(out, backend_->allocate(static_cast<std::size_t>(tensor.bytes)));
    bytes_ += tensor.bytes;
    const std::size_t row_bytes = tensor.row_bytes();
    const auto step =
        static_cast<std::int64_t>(std::max<std::size_t>(kTablePieceBytes / row_bytes, 1));
    Bytes rows_read;
    for (std::int64_t at = 0; at < piece.n; at += step) {
        const std::int64_t count = std::min(step, piece.n - at);
        rows_read.resize(static_cast<std::size_t>(count) * row_bytes);
        MOLINK_RETURN_IF_ERROR(rows->read(at, count, rows_read.data()));
        auto* const to =
            static_cast<std::byte*>(out->data()) + static_cast<std::size_t>(at) * row_bytes;
        MOLINK_RETURN_IF_ERROR(copier_->to_device(to, rows_read.data(), rows_read.size()));
    }
    return close(*rows);
}

void WeightLoader::will_need(std::span<const TensorRef> refs) const {
    for (const TensorRef& ref : refs) {
        if (ref.empty()) continue;
        const auto tensor = source_.find(ref);
        // Opening a tensor gives the hint. What fails here fails again when it is loaded.
        if (tensor) static_cast<void>(source_.reader(*tensor));
    }
}

std::vector<LoadedTensor> WeightLoader::loaded() const {
    std::vector<LoadedTensor> all;
    for (const auto& [text, tensor] : loaded_) all.push_back(tensor);
    return all;
}

Status WeightLoader::upload(const void* from, std::size_t bytes,
                            std::unique_ptr<DeviceBuffer>& out) {
    MOLINK_ASSIGN_OR_RETURN(out, backend_->allocate(bytes));
    bytes_ += bytes;
    return copier_->to_device(out->data(), from, bytes);
}

}  // namespace molink
