#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include <molink/status.h>

#include "backend/backend.h"
#include "backend/device_copier.h"
#include "loader/weight_source.h"

namespace molink {

/// Loads tensors to a device in the layout that its ops read. The host memory of a matrix is
/// released once the matrix is on the device. Thread: one caller at a time.
class WeightLoader {
public:
    /// Both must outlive this object.
    WeightLoader(Backend& backend, const WeightSource& source, WeightFormat format);

    /// A tensor and the size of its outermost dimension.
    struct Piece {
        const TensorRef& ref;
        std::int64_t n = 0;
    };
    /// Loads matrices [n, k] stacked on top of each other as one. Stored types may differ. In
    /// native format the matrix has the type of all pieces or, if they differ, f32, which holds
    /// them exactly. Errors: those of WeightSource and Backend::pack().
    Status matrix(std::initializer_list<Piece> pieces, std::int64_t k,
                  std::unique_ptr<PackedMatrix>& out);
    /// Loads vectors [n] one after the other as float32, with zeros for absent ones. If all are
    /// absent, leaves `out` empty. Errors: those of WeightSource, resource_exhausted.
    Status vectors(std::initializer_list<Piece> pieces, std::unique_ptr<DeviceBuffer>& out);
    /// Loads a matrix [n, k] as stored, row after row. Sets `type` to its stored type. Errors:
    /// those of WeightSource, resource_exhausted.
    Status table(const Piece& piece, std::int64_t k, std::unique_ptr<DeviceBuffer>& out,
                 ElementType& type);
    /// Returns the bytes on the device of everything loaded so far.
    std::uint64_t bytes() const { return bytes_; }

private:
    Status upload(const void* from, std::size_t bytes, std::unique_ptr<DeviceBuffer>& out);

    Backend& backend_;
    const WeightSource& source_;
    WeightFormat format_;
    std::unique_ptr<Stream> stream_;
    DeviceCopier copier_;
    std::uint64_t bytes_ = 0;
};

}  // namespace molink
