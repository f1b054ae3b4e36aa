// y = x W^T for f32, f16 and bf16 weights. One lane is one output, and its sum over k is a single
// chain of fused multiply-adds in order, so the shape of the tile (rows and vectors at once)
// changes the speed and never the bits. Rows are interleaved in the workspace ([k][rows of the
// tile]), so that broadcasts read memory in order. The work is split over threads by panels.
#include <algorithm>
#include <cstring>

#include "backend/cpu/kernels.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/matmul_float.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace molink::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::CappedTag<float, 16>;
constexpr std::size_t kLanes = hn::MaxLanes(F32());
constexpr std::size_t kRegisters = HWY_TARGET <= HWY_AVX3 ? 24 : 12;

/// How far ahead the kernel for a single row prefetches weights, bytes.
constexpr std::size_t kAhead = 4096;

/// Returns the vectors of outputs in a tile of `rows` rows: the largest power of two that fits into
/// the registers and into a panel.
constexpr std::size_t tile_vectors(std::size_t rows) {
    std::size_t vectors = 1;
    while (vectors * 2 * rows <= kRegisters && vectors * 2 * kLanes <= kPanel) vectors *= 2;
    return vectors;
}

HWY_INLINE hn::Vec<F32> load(F32 d, const float* from) {
    return hn::Load(d, from);
}
HWY_INLINE hn::Vec<F32> load(F32 d, const hwy::float16_t* from) {
    return hn::PromoteTo(d, hn::Load(hn::Rebind<hwy::float16_t, F32>(), from));
}
HWY_INLINE hn::Vec<F32> load(F32 d, const std::uint16_t* from) {  // bf16
    const hn::Rebind<std::uint32_t, F32> du;
    const auto bits = hn::PromoteTo(du, hn::Load(hn::Rebind<std::uint16_t, F32>(), from));
    return hn::BitCast(d, hn::ShiftLeft<16>(bits));
}

/// Computes R rows x V vectors of outputs over all k. `w` is [k][kPanel], `x` is [k][R], `y` is
/// [R][kPanel].
template <typename T, std::size_t R, std::size_t V>
HWY_INLINE void tile(const T* HWY_RESTRICT w, const float* HWY_RESTRICT x, std::size_t k,
                     float* HWY_RESTRICT y) {
    const F32 d;
    hn::Vec<F32> sum[R][V];
    for (std::size_t r = 0; r < R; ++r) {
        for (std::size_t v = 0; v < V; ++v) sum[r][v] = hn::Zero(d);
    }
    for (std::size_t i = 0; i < k; ++i) {
        hn::Vec<F32> weights[V];
        if (R == 1) {
            for (std::size_t at = 0; at < V * kLanes * sizeof(T); at += 64) {
                __builtin_prefetch(reinterpret_cast<const std::byte*>(w + i * kPanel) + kAhead +
                                   at);
            }
        }
        for (std::size_t v = 0; v < V; ++v) weights[v] = load(d, w + i * kPanel + v * kLanes);
        for (std::size_t r = 0; r < R; ++r) {
            const auto value = hn::Set(d, x[i * R + r]);
            for (std::size_t v = 0; v < V; ++v) {
                sum[r][v] = hn::MulAdd(weights[v], value, sum[r][v]);
            }
        }
    }
    for (std::size_t r = 0; r < R; ++r) {
        for (std::size_t v = 0; v < V; ++v) hn::Store(sum[r][v], d, y + r * kPanel + v * kLanes);
    }
}

/// Computes one panel for R interleaved rows. Writes the first `rows` rows and `width` outputs; the
/// others are padding.
template <typename T, std::size_t R>
void panel_rows(const T* w, const float* x, std::size_t k, float* y, std::size_t y_stride,
                std::size_t rows, std::size_t width) {
    constexpr std::size_t kVectors = tile_vectors(R);
    HWY_ALIGN float out[R * kPanel];
    for (std::size_t at = 0; at < kPanel; at += kVectors * kLanes) {
        tile<T, R, kVectors>(w + at, x, k, out + at);
    }
    for (std::size_t r = 0; r < rows; ++r) {
        std::memcpy(y + r * y_stride, out + r * kPanel, width * sizeof(float));
    }
}

template <typename T>
void panel_any(const T* w, const float* x, std::size_t k, float* y, std::size_t y_stride,
               std::size_t rows, std::size_t width) {
    switch (tile_rows(rows)) {
        case 1: return panel_rows<T, 1>(w, x, k, y, y_stride, rows, width);
        case 2: return panel_rows<T, 2>(w, x, k, y, y_stride, rows, width);
        case 4: return panel_rows<T, 4>(w, x, k, y, y_stride, rows, width);
        case 8: return panel_rows<T, 8>(w, x, k, y, y_stride, rows, width);
        default: return panel_rows<T, 12>(w, x, k, y, y_stride, rows, width);
    }
}

template <typename T>
void panel_all(const std::byte* panel, const float* x, std::size_t k, float* y,
               std::size_t y_stride, std::size_t rows, std::size_t width) {
    const T* w = reinterpret_cast<const T*>(panel);
    for (std::size_t done = 0; done < rows; done += kMaxTileRows) {
        const std::size_t now = std::min(kMaxTileRows, rows - done);
        panel_any<T>(w, x + done * k, k, y + done * y_stride, y_stride, now, width);
    }
}

void float_panel(const CpuMatrix& matrix, std::size_t panel, const float* x, float* y,
                 std::size_t y_stride, std::size_t rows) {
    const auto k = static_cast<std::size_t>(matrix.k);
    const std::size_t width = std::min(kPanel, static_cast<std::size_t>(matrix.n) - panel * kPanel);
    float* to = y + panel * kPanel;
    const std::byte* from = matrix.panel(panel);
    if (matrix.type == DataType::f32) {
        panel_all<float>(from, x, k, to, y_stride, rows, width);
    } else if (matrix.type == DataType::bf16) {
        panel_all<std::uint16_t>(from, x, k, to, y_stride, rows, width);
    } else {
        panel_all<hwy::float16_t>(from, x, k, to, y_stride, rows, width);
    }
}

}  // namespace molink::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace molink::cpu {
HWY_EXPORT(float_panel);

namespace {

/// Interleaves up to kMaxTileRows rows as [k][rows of the tile]. Missing rows are zero.
void interleave(const MatmulArgs& args, std::size_t first, std::size_t rows, float* out) {
    const auto k = static_cast<std::size_t>(args.weight->k);
    const std::size_t tile = tile_rows(rows);
    for (std::size_t r = 0; r < tile; ++r) {
        if (r >= rows) {
            for (std::size_t i = 0; i < k; ++i) out[i * tile + r] = 0;
            continue;
        }
        const float* row = floats(args.x) + (first + r) * static_cast<std::size_t>(args.x_stride);
        for (std::size_t i = 0; i < k; ++i) out[i * tile + r] = row[i];
    }
}

}  // namespace

std::size_t matmul_float_workspace(std::size_t rows, std::size_t k) {
    return (rows + kMaxTileRows) * k * sizeof(float);
}

void matmul_float(const MatmulArgs& args, ThreadPool& pool) {
    const auto& matrix = static_cast<const CpuMatrix&>(*args.weight);
    const auto rows = static_cast<std::size_t>(args.rows);
    const auto k = static_cast<std::size_t>(matrix.k);
    const float* x = floats(args.x);
    if (rows > 1) {
        float* interleaved = static_cast<float*>(args.workspace);
        const std::size_t tiles = (rows + kMaxTileRows - 1) / kMaxTileRows;
        pool.parallel_for(tiles, 8, [&](std::size_t begin, std::size_t end) {
            for (std::size_t tile = begin; tile < end; ++tile) {
                const std::size_t first = tile * kMaxTileRows;
                interleave(args, first, std::min(kMaxTileRows, rows - first),
                           interleaved + first * k);
            }
        });
        x = interleaved;
    }
    const std::size_t chunk = panels_per_chunk(matrix.panels(), pool.threads());
    pool.parallel_for(matrix.panels(), chunk, [&](std::size_t begin, std::size_t end) {
        for (std::size_t panel = begin; panel < end; ++panel) {
            HWY_DYNAMIC_DISPATCH(float_panel)
            (matrix, panel, x, floats(args.y), static_cast<std::size_t>(args.y_stride), rows);
        }
    });
}

}  // namespace molink::cpu
#endif
