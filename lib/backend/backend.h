#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "backend/op_args.h"

namespace molink {

/// Memory of a backend, 64-byte aligned; freed with the object.
class DeviceBuffer {
public:
    virtual ~DeviceBuffer() = default;
    virtual void* data() = 0;
    virtual std::size_t bytes() const = 0;
    /// Makes bytes [begin, end) resident without changing them, where memory otherwise becomes so
    /// when first used. A hint. Thread: any, also beside those who use the memory.
    virtual void prefault(std::size_t /*begin*/, std::size_t /*end*/) {}
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

/// Executes ops on one device. Arguments are checked by the caller (programmer errors assert);
/// ops do not allocate and cannot fail.
/// Thread: one caller at a time; the backend may use threads of its own inside.
class Backend {
public:
    virtual ~Backend() = default;
    /// "cpu", ... Static storage.
    virtual std::string_view name() const = 0;
    /// What executes, for people: SIMD target, threads. Valid as long as the backend.
    virtual std::string_view description() const = 0;

    /// Uninitialised memory. Errors: resource_exhausted with the size.
    virtual Result<std::unique_ptr<DeviceBuffer>> allocate(std::size_t bytes) = 0;

    /// Packs the rows of `parts` stacked on top of each other (equal k) as one matrix of `type`:
    /// the stored type, or q8_0 (k must be a multiple of 32). Errors: invalid_argument,
    /// resource_exhausted.
    virtual Result<std::unique_ptr<PackedMatrix>> pack(const MatrixSource* parts, std::size_t count,
                                                       DataType type) = 0;
    /// Bytes that pack() will take for [n, k] of `type`.
    virtual std::size_t packed_bytes(std::int64_t n, std::int64_t k, DataType type) const = 0;
    /// Workspace that matmul needs for up to `rows` rows of width k.
    virtual std::size_t matmul_workspace_bytes(std::int64_t rows, std::int64_t k) const = 0;
    /// Bytes of one page (K and V) of one layer.
    virtual std::size_t kv_block_bytes(std::int32_t block_tokens, std::int32_t kv_heads,
                                       std::int32_t head_dim, ElementType type) const = 0;

    virtual void embed(const EmbedArgs& args) = 0;
    virtual void rms_norm(const RmsNormArgs& args) = 0;
    virtual void add(const AddArgs& args) = 0;
    virtual void add_bias(const AddBiasArgs& args) = 0;
    virtual void gate(const GateArgs& args) = 0;
    virtual void rope(const RopeArgs& args) = 0;
    virtual void kv_write(const KvWriteArgs& args) = 0;
    virtual void attention(const AttentionArgs& args) = 0;
    virtual void gather_rows(const GatherRowsArgs& args) = 0;
    virtual void convert(const ConvertArgs& args) = 0;
    virtual void scale_cap(const ScaleCapArgs& args) = 0;
    virtual void argmax(const ArgmaxArgs& args) = 0;
    virtual void matmul(const MatmulArgs& args) = 0;

    virtual void copy_to_device(void* to, const void* from, std::size_t bytes) = 0;
    virtual void copy_to_host(void* to, const void* from, std::size_t bytes) = 0;
};

struct BackendOptions {
    int threads = 0;  ///< 0: one per core this process may use
};

/// Names of the backends that are compiled in. Static storage.
std::vector<std::string_view> backend_names();

/// Makes the backend called `name` ("cpu"). Errors: not_found with the known names.
Result<std::unique_ptr<Backend>> make_backend(std::string_view name, const BackendOptions& options);

}  // namespace molink
