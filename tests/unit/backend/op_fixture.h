#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/device_copier.h"
#include "base/random.h"
#include "support/catch.h"
#include "support/reference_ops.h"

namespace molink::test {

/// Allocates memory of one backend for one test, and draws random values. The fixture owns all
/// memory that it returns.
class OpFixture {
public:
    explicit OpFixture(Backend& backend, std::uint64_t seed = 1)
        : backend_(backend),
          stream_(backend.make_stream()),
          copier_(backend, *stream_),
          random_(seed) {}

    Backend& backend() { return backend_; }
    Stream& stream() { return *stream_; }
    Random& random() { return random_; }

    std::vector<float> values(std::int64_t count, double low = -1, double high = 1) {
        std::vector<float> out(static_cast<std::size_t>(count));
        for (float& x : out) x = static_cast<float>(low + (high - low) * random_.uniform());
        return out;
    }
    /// Returns device memory in which every byte is 0xff (NaN in every float type).
    std::byte* garbage(std::size_t bytes) {
        auto buffer = backend_.allocate(bytes);
        REQUIRE(buffer);
        const std::vector<std::uint8_t> fill(bytes, 0xff);
        require_ok(copier_.to_device((*buffer)->data(), fill.data(), bytes));
        buffers_.push_back(std::move(*buffer));
        return static_cast<std::byte*>(buffers_.back()->data());
    }
    template <typename T>
    T* put(const std::vector<T>& host) {
        std::byte* to = garbage(host.size() * sizeof(T));
        require_ok(copier_.to_device(to, host.data(), host.size() * sizeof(T)));
        return reinterpret_cast<T*>(to);
    }
    /// Returns the types that activations may have: float32 and that of the device's traits.
    std::vector<ElementType> activation_types() const {
        const ElementType own = backend_.traits().activations;
        if (own == ElementType::f32) return {own};
        return {ElementType::f32, own};
    }
    /// Uploads `values` as `type`, and rounds the host's `values` to what the device has.
    void* put_as(ElementType type, std::vector<float>& values);
    /// Returns device memory for `count` values of `type`, filled with NaN.
    void* out_as(ElementType type, std::int64_t count) {
        return garbage(static_cast<std::size_t>(count * element_bytes(type)));
    }
    std::vector<float> get_as(ElementType type, const void* from, std::int64_t count);
    float* out(std::int64_t count) {
        return reinterpret_cast<float*>(garbage(static_cast<std::size_t>(count) * sizeof(float)));
    }
    template <typename T>
    std::vector<T> get(const T* from, std::int64_t count) {
        std::vector<T> host(static_cast<std::size_t>(count));
        require_ok(copier_.to_host(host.data(), from, host.size() * sizeof(T)));
        return host;
    }
    /// Returns y [rows, y_stride] for x [rows, x_stride] in float32. Values that matmul does not
    /// write are NaN.
    std::vector<float> matmul(const PackedMatrix& weight, const std::vector<float>& x,
                              std::int64_t rows, std::int64_t x_stride, std::int64_t y_stride);

private:
    static void require_ok(const Status& status) {
        INFO(status.to_string());
        REQUIRE(status.ok());
    }

    Backend& backend_;
    std::unique_ptr<Stream> stream_;
    DeviceCopier copier_;
    Random random_;
    std::vector<std::unique_ptr<DeviceBuffer>> buffers_;
};

inline std::unique_ptr<Backend> backend_of(std::string_view name, int threads) {
    BackendOptions options;
    options.threads = threads;
    auto backend = make_backend(name, options);
    REQUIRE(backend);
    return std::move(*backend);
}

/// Runs body(fixture) on every backend that has a device here, with one thread and with three.
template <typename Body>
void on_every_backend(const Body& body) {
    for (const std::string& name : backend_names()) {
        if (backend_devices(name)->empty()) continue;
        for (const int threads : {1, 3}) {
            INFO("backend " << name << ", " << threads << " threads");
            const std::unique_ptr<Backend> backend = backend_of(name, threads);
            REQUIRE(backend->name() == name);
            REQUIRE(!backend->description().empty());
            OpFixture fixture(*backend);
            body(fixture);
        }
    }
}

/// Returns `tolerance`, which holds for float32, widened for results that are rounded to `type`.
inline double tolerance_of(ElementType type, double tolerance) {
    return type == ElementType::f32    ? tolerance
           : type == ElementType::bf16 ? tolerance + 0x1.0p-8
                                       : tolerance + 0x1.0p-11;
}

/// Requires |got - want| <= tolerance * max(1, |want|) for every value.
inline void require_close(const std::vector<float>& got, const std::vector<double>& want,
                          double tolerance) {
    REQUIRE(got.size() == want.size());
    double worst = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
        const double error = std::fabs(double{got[i]} - want[i]) / std::fmax(1, std::fabs(want[i]));
        if (!(error <= worst)) {
            worst = error;
            at = i;
        }
        if (std::isnan(error)) break;
    }
    INFO("value " << at << " of " << want.size() << ": got " << got[at] << ", want " << want[at]);
    REQUIRE(worst <= tolerance);
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i])) return false;
    }
    return true;
}

/// A weight matrix [n, k] of random values, widened to f32 and packed.
struct TestMatrix {
    std::vector<float> widened;
    std::unique_ptr<PackedMatrix> packed;

    /// `type` is f32, f16, bf16 or q8_0 (stored as f32). The matrix is packed from `parts` pieces
    /// of consecutive rows.
    TestMatrix(OpFixture& fixture, std::int64_t n, std::int64_t k, DataType type,
               std::int64_t parts = 1);
};

/// A row of a batch: the token of `sequence` at `position`.
struct TokenRow {
    std::int32_t sequence = 0;
    std::int32_t position = 0;
};

struct KvShape {
    std::int32_t block_tokens = 16;
    std::int32_t q_heads = 4;
    std::int32_t kv_heads = 2;
    std::int32_t head_dim = 64;
    ElementType type = ElementType::f32;
    std::int32_t window = 0;
    float soft_cap = 0;
    float sharpness = 2.5f;  ///< scores are scaled by sharpness / sqrt(head_dim)
    ElementType activations = ElementType::f32;
};

/// Sequences with random q, k and v for every position, and their KV pages on a backend. Pages hold
/// NaN until they are written. Blocks are in random order, with unused blocks between them.
class PagedKv {
public:
    PagedKv(OpFixture& fixture, KvShape shape, std::vector<std::int32_t> lengths);

    /// Writes K and V of `rows` as one batch. The rows are ordered by sequence and position.
    void write(const std::vector<TokenRow>& rows);
    /// Returns the attention of `rows` as one batch, [rows, q_heads, head_dim].
    std::vector<float> attend(const std::vector<TokenRow>& rows);
    std::vector<double> reference(const std::vector<TokenRow>& rows) const;
    /// Sets the first entry of the first KV head's key of a row.
    void set_key(const TokenRow& row, float value);
    /// Returns all rows of all sequences.
    std::vector<TokenRow> all_rows() const;
    std::int64_t row_width() const { return std::int64_t{shape_.q_heads} * shape_.head_dim; }

private:
    std::int64_t stride() const {
        return row_width() + std::int64_t{2} * shape_.kv_heads * shape_.head_dim + 3;
    }
    /// Uploads q, k and v of `rows`, side by side in each row.
    std::byte* gather(const std::vector<TokenRow>& rows);
    BatchArgs batch(const std::vector<TokenRow>& rows);
    AttentionArgs attention_args() const;

    OpFixture& fixture_;
    KvShape shape_;
    std::vector<std::int32_t> lengths_;
    std::vector<std::vector<float>> qkv_;  // per sequence: [positions, stride()]
    KvPages pages_;
    std::int64_t* block_offsets_ = nullptr;
    std::uint32_t* block_ids_ = nullptr;
};

}  // namespace molink::test
