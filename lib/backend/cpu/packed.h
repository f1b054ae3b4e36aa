#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include <molink/status.h>

#include "backend/backend.h"
#include "backend/cpu/thread_pool.h"

namespace molink {

/// Outputs of one panel of a packed matrix. Lane j of panel p is output p * 64 + j for any SIMD
/// width, so that one lane computes one output.
inline constexpr std::size_t kPanel = 64;
/// Values along k that share a scale in Q8_0.
inline constexpr std::size_t kGroup = 32;

/// Host memory, 64-byte aligned.
class HostBuffer final : public DeviceBuffer {
public:
    static Result<std::unique_ptr<HostBuffer>> make(std::size_t bytes);
    void* data() override { return data_; }
    const void* data() const { return data_; }
    std::size_t bytes() const override { return bytes_; }
    void prefault(std::size_t begin, std::size_t end) override;

private:
    friend class WeightArena;
    HostBuffer(std::shared_ptr<void> memory, void* data, std::size_t bytes)
        : memory_(std::move(memory)), data_(data), bytes_(bytes) {}
    std::shared_ptr<void> memory_;  // owns the memory of data_
    void* data_;
    std::size_t bytes_;
};

/// Allocates memory for weights. Small matrices share large chunks, so that they lie in huge pages.
/// Otherwise reading them for every token would cost a page walk per 4 KiB. A chunk is freed with
/// its last buffer. Thread: one caller at a time.
class WeightArena {
public:
    /// Errors: resource_exhausted with the size.
    Result<std::unique_ptr<HostBuffer>> allocate(std::size_t bytes);

private:
    std::unique_ptr<HostBuffer> chunk_;
    std::size_t used_ = 0;
};

/// Weights [n, k] as panels.
///   f32, f16, bf16: [panel][k][64] of the type.
///   q8_0: [panel][group] of { f16 scale[64], uint8 quad[8][64][4] }. A weight is scale * (byte -
///   128); the scale is amax / 127 of its 32 weights, rounded to f16, and bytes round to nearest
///   even.
/// Outputs beyond n are zero.
class CpuMatrix final : public PackedMatrix {
public:
    std::size_t bytes() const override { return buffer->bytes(); }
    std::size_t panels() const { return (static_cast<std::size_t>(n) + kPanel - 1) / kPanel; }
    std::size_t panel_bytes() const { return bytes() / panels(); }
    const std::byte* panel(std::size_t index) const {
        return static_cast<const std::byte*>(buffer->data()) + index * panel_bytes();
    }

    std::unique_ptr<HostBuffer> buffer;
};

/// Bytes of one group of one panel in Q8_0.
inline constexpr std::size_t kQ8GroupBytes = kPanel * 2 + kPanel * kGroup;

/// See Backend::packed_bytes() and Backend::pack().
std::size_t packed_matrix_bytes(std::int64_t n, std::int64_t k, DataType type);
Result<std::unique_ptr<CpuMatrix>> pack_matrix(const MatrixSource* parts, std::size_t count,
                                               DataType type, ThreadPool& pool, WeightArena& arena);

}  // namespace molink
