// Loads one tensor after the other from the source into the layout of the device. The host memory
// of a matrix is released as soon as it is packed or copied, so that a stage never holds its layers
// twice. Relies on DeviceCopier, which waits for each copy.
#include "model/weight_loader.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

void widen(const TensorView& view, float* out) {
    const std::size_t element = data_type_bytes(view.type);
    for (std::size_t i = 0; i < view.bytes / element; ++i) {
        const std::byte* from = view.data + i * element;
        if (view.type == DataType::f32) {
            std::memcpy(out + i, from, 4);
            continue;
        }
        std::uint16_t bits;
        std::memcpy(&bits, from, 2);
        out[i] = view.type == DataType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
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

WeightLoader::WeightLoader(Backend& backend, const WeightSource& source, WeightFormat format)
    : backend_(backend),
      source_(source),
      format_(format),
      stream_(backend.make_stream()),
      copier_(backend, *stream_) {}

Status WeightLoader::matrix(std::initializer_list<Piece> pieces, std::int64_t k,
                            std::unique_ptr<PackedMatrix>& out) {
    std::vector<MatrixSource> parts;
    std::vector<TensorView> views;
    for (const Piece& piece : pieces) {
        const std::int64_t shape[2] = {piece.n, k};
        MOLINK_ASSIGN_OR_RETURN(TensorView view, source_.find(piece.ref, shape));
        parts.push_back({view.data, view.type, piece.n, k});
        views.push_back(std::move(view));
    }
    auto packed = backend_.pack(parts.data(), parts.size(), matrix_type(parts, format_));
    if (!packed) return packed.error().with_context(views[0].name);
    out = std::move(*packed);
    bytes_ += out->bytes();
    for (const TensorView& view : views) source_.release(view);
    return {};
}

Status WeightLoader::vectors(std::initializer_list<Piece> pieces,
                             std::unique_ptr<DeviceBuffer>& out) {
    std::vector<float> values;
    bool any = false;
    for (const Piece& piece : pieces) {
        const std::size_t begin = values.size();
        values.resize(begin + static_cast<std::size_t>(piece.n), 0.0f);
        if (piece.ref.empty()) continue;
        any = true;
        const std::int64_t shape[1] = {piece.n};
        MOLINK_ASSIGN_OR_RETURN(const TensorView view, source_.find(piece.ref, shape));
        widen(view, values.data() + begin);
    }
    if (!any) return {};
    return upload(values.data(), values.size() * sizeof(float), out);
}

Status WeightLoader::table(const Piece& piece, std::int64_t k, std::unique_ptr<DeviceBuffer>& out,
                           ElementType& type) {
    const std::int64_t shape[2] = {piece.n, k};
    MOLINK_ASSIGN_OR_RETURN(const TensorView view, source_.find(piece.ref, shape));
    type = element_type(view.type);
    MOLINK_RETURN_IF_ERROR(upload(view.data, view.bytes, out));
    source_.release(view);
    return {};
}

Status WeightLoader::upload(const void* from, std::size_t bytes,
                            std::unique_ptr<DeviceBuffer>& out) {
    MOLINK_ASSIGN_OR_RETURN(out, backend_.allocate(bytes));
    bytes_ += bytes;
    return copier_.to_device(out->data(), from, bytes);
}

}  // namespace molink
