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

/// Memory of a device, 64-byte aligned. It is freed with the object; streams that use it must be
/// idle at that time.
class DeviceBuffer {
public:
    virtual ~DeviceBuffer() = default;
    /// Returns an address of the device. The host may calculate with it, but must not dereference
    /// it.
    virtual void* data() = 0;
    virtual std::size_t bytes() const = 0;
    /// Makes bytes [begin, end) resident without changing them, on devices whose memory becomes
    /// resident only when it is first used. A hint. Thread: any, also while ops use the memory.
    virtual void prefault(std::size_t /*begin*/, std::size_t /*end*/) {}
};

/// Host memory that a device copies from and to, 64-byte aligned. It is freed with the object.
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
    /// Returns the bytes that one product reads, with padding.
    virtual std::size_t bytes() const = 0;
};

/// Gives the rows of a stored matrix that is not in host memory. Thread: any, several at once.
class MatrixRows {
public:
    virtual ~MatrixRows() = default;
    /// Copies rows [begin, begin + count) to `out`.
    virtual Status read(std::int64_t begin, std::int64_t count, std::byte* out) = 0;
};

/// A stored matrix: [n, k], type f32, f16 or bf16, any alignment.
struct MatrixSource {
    const void* data = nullptr;  ///< in host memory; not used when `rows` is set
    DataType type = DataType::f32;
    std::int64_t n = 0;
    std::int64_t k = 0;
    MatrixRows* rows = nullptr;  ///< asked for each row exactly once, in any order
};

/// Properties of a device that its users depend on.
struct BackendTraits {
    /// Element type of activations between ops.
    ElementType activations = ElementType::f32;
    /// Maximum number of rows whose logits are computed at once.
    std::int32_t logit_rows = 16;
    /// Parts that may be enqueued in addition to the one under way. 0: an op is done when its call
    /// returns.
    std::int32_t parts_ahead = 0;
    /// Whether DeviceBuffer::prefault() has an effect.
    bool prefaults = false;
    /// Share of the machine's compute that the device uses while it computes. Devices that compute
    /// with the same cores (DeviceMemory::domain), whose shares add up to at most 1, do not slow
    /// each other.
    double compute_share = 1;

    /// Returns the bytes of activations [rows, width] between ops.
    constexpr std::size_t activation_bytes(std::int64_t rows, std::int64_t width) const {
        return static_cast<std::size_t>(rows * width * element_bytes(activations));
    }
};

/// Returns the element type of f32, f16 or bf16.
constexpr ElementType element_type(DataType type) {
    return type == DataType::f32   ? ElementType::f32
           : type == DataType::f16 ? ElementType::f16
                                   : ElementType::bf16;
}

/// The memory of a device.
struct DeviceMemory {
    /// Equal for devices that share one memory. It begins with host_id() if that is memory of the
    /// host; then the device computes with cores of the host.
    std::string domain;
    std::int64_t total_bytes = 0;  ///< that this process can use at most
    std::int64_t free_bytes = 0;   ///< that it may still use
};

/// One device: its memory, its layouts of weights and KV pages, and streams that run ops on it.
/// Thread: one caller at a time. The backend may use threads of its own.
class Backend {
public:
    virtual ~Backend() = default;
    /// Returns a name such as "cpu". Valid as long as the backend.
    virtual std::string_view name() const = 0;
    /// Describes for people what computes: device, SIMD target, threads. Valid as long as the
    /// backend.
    virtual std::string_view description() const = 0;
    virtual BackendTraits traits() const = 0;
    virtual DeviceMemory memory() const = 0;

    /// Returns uninitialised device memory. Errors: resource_exhausted with the size.
    virtual Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes) = 0;
    /// Returns uninitialised host memory for copies. Errors: resource_exhausted with the size.
    virtual Result<std::unique_ptr<PinnedBuffer>> allocate_host(std::size_t bytes) = 0;
    /// The backend must outlive the stream.
    virtual std::unique_ptr<Stream> make_stream() = 0;

    /// Packs the `count` matrices of `parts` (equal k), stacked on top of each other, as one matrix
    /// of `type`: the type of all parts, f32, or q8_0 (k must be a multiple of 32). With f32 and
    /// q8_0 the parts may have different types. The sources are not read after the return. Errors:
    /// invalid_argument, resource_exhausted, those of MatrixRows::read.
    virtual Result<std::unique_ptr<PackedMatrix>> pack(const MatrixSource* parts, std::size_t count,
                                                       DataType type) = 0;
    /// Returns the bytes of a packed matrix [n, k] of `type`.
    virtual std::size_t packed_bytes(std::int64_t n, std::int64_t k, DataType type) const = 0;
    /// Returns the bytes of workspace that matmul needs for up to `rows` rows of width k.
    virtual std::size_t matmul_workspace_bytes(std::int64_t rows, std::int64_t k) const = 0;
    /// Returns the bytes of one page of one layer, K and V.
    virtual std::size_t kv_block_bytes(std::int32_t block_tokens, std::int32_t kv_heads,
                                       std::int32_t head_dim, ElementType type) const = 0;
};

struct BackendOptions {
    /// One of backend_devices(); empty: the first.
    std::string device;
    int threads = 0;  ///< on the host; 0: one per core that this process may use
};

/// Returns the names of the backends, the compiled ones first.
std::vector<std::string> backend_names();

/// Returns the names of a backend's devices on this machine. Errors: not_found with the known
/// backends.
Result<std::vector<std::string>> backend_devices(std::string_view name);

/// Opens a device of the backend `name`, such as "cpu". Errors: not_found with the known backends
/// or devices, and those of the device.
Result<std::unique_ptr<Backend>> make_backend(std::string_view name, const BackendOptions& options);

/// Opens the device that a user names: "cpu", or "cpu:0" with a device. `threads`: see
/// BackendOptions. Errors: those of make_backend().
Result<std::unique_ptr<Backend>> open_device(std::string_view text, int threads);

/// Returns the devices of a list that users give, each as "<backend>:<device>": "cuda:0,cuda:1"
/// names two, "cuda" the first and "cuda:all" all devices of a backend. Errors: not_found with
/// what is known.
Result<std::vector<std::string>> parse_device_list(std::string_view text);

}  // namespace molink
