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

/// Brings tensors onto a device in the layout that its ops read, each released on the host once it
/// is there. Thread: one caller.
class WeightLoader {
public:
    /// Both must outlive it.
    WeightLoader(Backend& backend, const WeightSource& source, WeightFormat format);

    /// A tensor and the size of its outermost dimension.
    struct Piece {
        const TensorRef& ref;
        std::int64_t n = 0;
    };
    /// Matrices [n, k] stacked on top of each other as one. Stored types may differ: the matrix has
    /// the type of all pieces or, when there are several, float32, which holds them exactly.
    /// Errors: those of WeightSource and Backend::pack.
    Status matrix(std::initializer_list<Piece> pieces, std::int64_t k,
                  std::unique_ptr<PackedMatrix>& out);
    /// Vectors [n] one after the other as float32; where one is absent, zeros. Nothing when all
    /// are. Errors: those of WeightSource, resource_exhausted.
    Status vectors(std::initializer_list<Piece> pieces, std::unique_ptr<DeviceBuffer>& out);
    /// A matrix [n, k] as stored, row after row; `type` becomes its type.
    Status table(const Piece& piece, std::int64_t k, std::unique_ptr<DeviceBuffer>& out,
                 ElementType& type);
    /// Bytes on the device of everything loaded so far.
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
