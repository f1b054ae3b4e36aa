#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "backend/op_args.h"
#include "backend/stream.h"

namespace molink {

/// Memory of a device, 64-byte aligned; freed with the object. Streams that use it must be idle by
/// then.
class DeviceBuffer {
public:
    virtual ~DeviceBuffer() = default;
    /// An address of the device. Arithmetic is fine; the host must not follow it.
    virtual void* data() = 0;
    virtual std::size_t bytes() const = 0;
    /// Makes bytes [begin, end) resident without changing them, where memory otherwise becomes so
    /// when it is first used. A hint. Thread: any, also beside those who use the memory.
    virtual void prefault(std::size_t /*begin*/, std::size_t /*end*/) {}
};

/// Host memory that a device copies from and to, 64-byte aligned; freed with the object.
class PinnedBuffer {
public:
    virtual ~PinnedBuffer() = default;
    virtual void* data() = 0;
    virtual std::size_t bytes() const = 0;
};

/// A weight matrix [n, k] in the backend's own layout.
class PackedMatrix {
public:
    virtual ~PackedMatrix() = default;
    std::int64_t n = 0;
    std::int64_t k = 0;
    DataType type = DataType::f32;  ///< f32, f16, bf16 or q8_0
    /// Bytes that one product touches (padding included).
    virtual std::size_t bytes() const = 0;
};

/// Rows of a matrix in host memory, as stored: [n, k], type f32, f16 or bf16. Unaligned is fine.
struct MatrixSource {
    const void* data = nullptr;
    DataType type = DataType::f32;
    std::int64_t n = 0;
    std::int64_t k = 0;
};

/// What callers must know of a device to use it well.
struct BackendTraits {
    /// Element type of activations between ops.
    ElementType activations = ElementType::f32;
    /// Rows of LM-head output that are computed at once.
    std::int32_t logit_rows = 16;
    /// Parts that may be enqueued beside the one under way. 0: enqueueing is computing.
    std::int32_t parts_ahead = 0;
    /// DeviceBuffer::prefault does something.
    bool prefaults = false;

    /// Bytes of activations [rows, width] between ops.
    constexpr std::size_t activation_bytes(std::int64_t rows, std::int64_t width) const {
        return static_cast<std::size_t>(rows * width * element_bytes(activations));
    }
};

/// Of f32, f16 and bf16.
constexpr ElementType element_type(DataType type) {
    return type == DataType::f32   ? ElementType::f32
           : type == DataType::f16 ? ElementType::f16
                                   : ElementType::bf16;
}

/// The memory of a device.
struct DeviceMemory {
    std::string domain;            ///< equal for devices that share one memory
    std::int64_t total_bytes = 0;  ///< that this process could use at most
    std::int64_t free_bytes = 0;   ///< that it may still use
};

/// One device: its memory, its layouts of weights and KV pages, and streams that run ops on it.
/// Thread: one caller at a time; the backend may use threads of its own inside.
class Backend {
public:
    virtual ~Backend() = default;
    /// "cpu", ... Valid as long as the backend.
    virtual std::string_view name() const = 0;
    /// What executes, for people: device, SIMD target, threads. Valid as long as the backend.
    virtual std::string_view description() const = 0;
    virtual BackendTraits traits() const = 0;
    virtual DeviceMemory memory() const = 0;

    /// Uninitialised device memory. Errors: resource_exhausted with the size.
    virtual Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes) = 0;
    /// Uninitialised host memory for copies. Errors: resource_exhausted with the size.
    virtual Result<std::unique_ptr<PinnedBuffer>> allocate_host(std::size_t bytes) = 0;
    /// The backend must outlive it.
    virtual std::unique_ptr<Stream> make_stream() = 0;

    /// Packs the rows of `parts` stacked on top of each other (equal k) as one matrix of `type`:
    /// the type of all parts, float32, or q8_0 (k must be a multiple of 32); for the last two the
    /// parts may be of different types. The sources have been read when it returns. Errors:
    /// invalid_argument, resource_exhausted.
    virtual Result<std::unique_ptr<PackedMatrix>> pack(const MatrixSource* parts, std::size_t count,
                                                       DataType type) = 0;
    /// Bytes that pack() will take for [n, k] of `type`.
    virtual std::size_t packed_bytes(std::int64_t n, std::int64_t k, DataType type) const = 0;
    /// Workspace that matmul needs for up to `rows` rows of width k.
    virtual std::size_t matmul_workspace_bytes(std::int64_t rows, std::int64_t k) const = 0;
    /// Bytes of one page (K and V) of one layer.
    virtual std::size_t kv_block_bytes(std::int32_t block_tokens, std::int32_t kv_heads,
                                       std::int32_t head_dim, ElementType type) const = 0;
};

struct BackendOptions {
    /// Which device, one of backend_devices(); empty: the first.
    std::string device;
    int threads = 0;  ///< on the host; 0: one per core this process may use
};

/// Names of the backends, the compiled ones first.
std::vector<std::string> backend_names();

/// Names of a backend's devices on this machine. Errors: not_found with the known backends.
Result<std::vector<std::string>> backend_devices(std::string_view name);

/// Opens a device of the backend called `name` ("cpu"). Errors: not_found with the known backends,
/// or the known devices; those of the device.
Result<std::unique_ptr<Backend>> make_backend(std::string_view name, const BackendOptions& options);

/// The same for text that users give: "cpu", or "cpu:0" with a device.
Result<std::unique_ptr<Backend>> open_device(std::string_view text, int threads);

}  // namespace molink
