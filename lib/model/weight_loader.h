#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <molink/status.h>

#include "backend/backend.h"
#include "backend/device_copier.h"
#include "loader/weight_source.h"
#include "tensor/tensor_hash.h"

namespace molink {

/// Loads tensors to a device in the layout that its ops read, and hashes the stored bytes while it
/// reads them. A tensor is never in host memory as a whole. Thread: one caller at a time.
class WeightLoader {
public:
    /// Both must outlive this object.
    WeightLoader(Backend& backend, const WeightSource& source, WeightFormat format);
    /// Makes a loader that loads nothing. It only checks that the tensors are there with their
    /// shapes, and remembers them for checked().
    explicit WeightLoader(const WeightSource& source);
    ~WeightLoader();

    /// A tensor and the size of its outermost dimension.
    struct Piece {
        const TensorRef& ref;
        std::int64_t n = 0;
    };
    /// Loads matrices [n, k] stacked on top of each other as one. Stored types may differ. In
    /// native format the matrix has the type of all pieces or, if they differ, f32, which holds
    /// them exactly. Errors: those of WeightSource, TensorReader and Backend::pack().
    Status matrix(std::initializer_list<Piece> pieces, std::int64_t k,
                  std::unique_ptr<PackedMatrix>& out);
    /// Loads vectors [n] one after the other as float32, with zeros for absent ones. If all are
    /// absent, leaves `out` empty. Errors: those of WeightSource and TensorReader,
    /// resource_exhausted.
    Status vectors(std::initializer_list<Piece> pieces, std::unique_ptr<DeviceBuffer>& out);
    /// Loads a matrix [n, k] as stored, row after row. Sets `type` to its stored type. Errors:
    /// those of WeightSource and TensorReader, resource_exhausted.
    Status table(const Piece& piece, std::int64_t k, std::unique_ptr<DeviceBuffer>& out,
                 ElementType& type);
    /// Hints that the stored bytes of these tensors will be read soon. Absent ones are skipped.
    void will_need(std::span<const TensorRef> refs) const;

    /// Returns the bytes on the device of everything loaded so far.
    std::uint64_t bytes() const { return bytes_; }
    /// Returns every tensor that was loaded, once, with its hash; sorted.
    std::vector<LoadedTensor> loaded() const;
    /// Returns every tensor that was asked for, in that order, when nothing is loaded.
    const std::vector<StoredTensor>& checked() const { return checked_; }

private:
    class HashedRows;

    Result<std::unique_ptr<HashedRows>> open(const TensorRef& ref,
                                             std::span<const std::int64_t> shape);
    Status close(const HashedRows& rows);
    Status upload(const void* from, std::size_t bytes, std::unique_ptr<DeviceBuffer>& out);

    Status check(std::initializer_list<Piece> pieces, std::int64_t k);

    Backend* backend_ = nullptr;  // null: nothing is loaded
    const WeightSource& source_;
    WeightFormat format_ = WeightFormat::native;
    std::unique_ptr<Stream> stream_;
    std::optional<DeviceCopier> copier_;
    std::vector<StoredTensor> checked_;
    std::uint64_t bytes_ = 0;
    std::map<std::string, LoadedTensor> loaded_;  // by LoadedTensor::text()
};

}  // namespace molink
