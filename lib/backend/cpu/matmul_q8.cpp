// y = x W^T for Q8_0 weights. Activations are quantised per row in groups of 32 (scale amax / 127
// in f32, round to nearest even). The integer dot product of a group is exact in int32, so the
// order of its operations does not matter (byte dot products where the target has them). The scaled
// sums are added in group order by one chain of fused multiply-adds per output, with
// acc = fma(float(dot), weight_scale * row_scale, acc). Weights are stored as bytes with 128 added,
// so that they widen without sign. 128 times the sum of the row's group is subtracted again.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "backend/cpu/kernels.h"
#include "tensor/dtype.h"

#undef HWY_TARGET_INCLUDE
#define HWY_WANT_AVX3_DL  // has byte dot products
#define HWY_TARGET_INCLUDE "backend/cpu/matmul_q8.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef MOLINK_MATMUL_Q8_ONCE
#define MOLINK_MATMUL_Q8_ONCE
namespace molink::cpu {

constexpr std::size_t kQuads = kGroup / 4;  // quads of values in a group

/// Quantised rows in the workspace. Each group has a scale and an offset. Each quad has two words:
/// values 0 and 2 as int16, then values 1 and 3 as int16. Targets with byte dot products keep one
/// word instead, the four values as int8. Writer and reader run on the same target.
struct Q8Rows {
    float* scales;          // [rows][groups]
    std::int32_t* offsets;  // [rows][groups], -128 * sum of the group's bytes
    std::int32_t* words;    // [rows][groups][8][2]
    std::size_t groups;

    Q8Rows(void* workspace, std::size_t rows, std::size_t k)
        : scales(static_cast<float*>(workspace)),
          offsets(reinterpret_cast<std::int32_t*>(scales + rows * (k / kGroup))),
          words(offsets + rows * (k / kGroup)),
          groups(k / kGroup) {}
};

}  // namespace molink::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace molink::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR
// Without vectors: computes one output after the other by the same definition.
void q8_panel(const CpuMatrix& matrix, std::size_t panel, const Q8Rows& x, float* y,
              std::size_t y_stride, std::size_t rows) {
    const std::size_t width = std::min(kPanel, static_cast<std::size_t>(matrix.n) - panel * kPanel);
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t lane = 0; lane < width; ++lane) {
            float sum = 0;
            for (std::size_t g = 0; g < x.groups; ++g) {
                const std::byte* group = matrix.panel(panel) + g * kQ8GroupBytes;
                const std::byte* bytes = group + 2 * kPanel + lane * 4;
                const std::size_t at = row * x.groups + g;
                std::int32_t dot = x.offsets[at];
                for (std::size_t q = 0; q < kQuads; ++q) {
                    const std::int32_t* words = x.words + (at * kQuads + q) * 2;
                    const std::byte* quad = bytes + q * kPanel * 4;
                    for (std::size_t i = 0; i < 4; ++i) {
                        const auto half = static_cast<std::uint32_t>(words[i % 2]) >> (i / 2 * 16);
                        dot += static_cast<std::int16_t>(half & 0xffffu) *
                               static_cast<std::int32_t>(quad[i]);
                    }
                }
                std::uint16_t scale;
                std::memcpy(&scale, group + 2 * lane, 2);
                sum = std::fma(static_cast<float>(dot), f16_to_f32(scale) * x.scales[at], sum);
            }
            y[row * y_stride + panel * kPanel + lane] = sum;
        }
    }
}
#else
using F32 = hn::CappedTag<float, 16>;
using I32 = hn::Rebind<std::int32_t, F32>;
using I16 = hn::Repartition<std::int16_t, F32>;
using U16 = hn::Repartition<std::uint16_t, F32>;
constexpr std::size_t kLanes = hn::MaxLanes(F32());
#if HWY_TARGET == HWY_AVX3_DL
// Three rows leave enough registers to compute all outputs of a panel at once. Two passes over half
// of the outputs each would read the panel with gaps, so that the processor would see no stream,
// and few rows, which wait for memory, would take up to 1.6 times as long. A fourth row leaves no
// registers for the sums. They are then kept in memory and updated once per group, which is cheaper
// than a tile for the fourth row.
constexpr std::size_t kRows = 3;
constexpr std::size_t kRegisters = 16;  // for dots
constexpr std::size_t kSumRegisters = 12;
#else
constexpr std::size_t kRows = 4;
constexpr std::size_t kRegisters = HWY_TARGET <= HWY_AVX3 ? 10 : 4;  // for sums and for dots
constexpr std::size_t kSumRegisters = kRegisters;
#endif
constexpr std::size_t kMostRows = 4;  // maximum rows of the last tile

constexpr std::size_t tile_vectors(std::size_t rows) {
    std::size_t vectors = 1;
    while (vectors * 2 * rows <= kRegisters && vectors * 2 * kLanes <= kPanel) vectors *= 2;
    return vectors;
}

#if HWY_TARGET == HWY_AVX3_DL
constexpr std::size_t kWords = 1;  // per quad of activations

HWY_INLINE __m512i split(const std::uint16_t* bytes) {
    return _mm512_loadu_si512(bytes);
}

/// Returns sum + the dot product of 4 unsigned and 4 signed bytes per 32-bit lane, without
/// saturation. In assembly, because Highway 1.0.3 does not name VNNI among the features of this
/// target.
HWY_INLINE hn::Vec<I32> add_quad(__m512i quad, const std::int32_t* words, hn::Vec<I32> sum) {
    asm("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(sum.raw) : "v"(quad), "m"(*words));
    return sum;
}
#else
constexpr std::size_t kWords = 2;

/// Returns sum + a[2i] * b[2i] + a[2i + 1] * b[2i + 1] per 32-bit lane, exactly.
HWY_INLINE hn::Vec<I32> add_pairs(hn::Vec<I16> a, hn::Vec<I16> b, hn::Vec<I32> sum) {
    const I32 d;
#if HWY_ARCH_X86
    auto unused = hn::Zero(d);
    return hn::ReorderWidenMulAccumulate(d, a, b, sum, unused);  // pairs stay in place on x86
#else
    const auto a32 = hn::BitCast(d, a);
    const auto b32 = hn::BitCast(d, b);
    const auto low = hn::Mul(hn::ShiftRight<16>(hn::ShiftLeft<16>(a32)),
                             hn::ShiftRight<16>(hn::ShiftLeft<16>(b32)));
    const auto high = hn::Mul(hn::ShiftRight<16>(a32), hn::ShiftRight<16>(b32));
    return hn::Add(sum, hn::Add(low, high));
#endif
}

/// Quads of bytes, widened: bytes 0 and 2, bytes 1 and 3.
struct Widened {
    hn::Vec<I16> even;
    hn::Vec<I16> odd;
};

HWY_INLINE Widened split(const std::uint16_t* bytes) {
    const I16 d16;
    const U16 du16;
    const auto quad = hn::LoadU(du16, bytes);
    return {hn::BitCast(d16, hn::And(quad, hn::Set(du16, 0x00ff))),
            hn::BitCast(d16, hn::ShiftRight<8>(quad))};
}

HWY_INLINE hn::Vec<I32> add_quad(const Widened& quad, const std::int32_t* words, hn::Vec<I32> sum) {
    const I32 d;
    const I16 d16;
    sum = add_pairs(quad.even, hn::BitCast(d16, hn::Set(d, words[0])), sum);
    return add_pairs(quad.odd, hn::BitCast(d16, hn::Set(d, words[1])), sum);
}
#endif

/// Computes R rows x V vectors of outputs over all groups. `w` is a panel, `at` its first output to
/// compute. In each group, prefetches P cache lines of the same group of the panel at `ahead`.
template <std::size_t R, std::size_t V, std::size_t P>
HWY_INLINE void tile(const std::byte* HWY_RESTRICT w, std::size_t at, const Q8Rows& rows,
                     std::size_t row, const std::byte* ahead, float* HWY_RESTRICT y) {
    const F32 d;
    const I32 di;
    const Q8Rows x = rows;  // a copy that stays in registers
    constexpr bool kSumsInMemory = R * V > kSumRegisters;
    hn::Vec<F32> sum[R][V];
    for (std::size_t r = 0; r < R; ++r) {
        for (std::size_t v = 0; v < V; ++v) {
            sum[r][v] = hn::Zero(d);
            if (kSumsInMemory) hn::Store(sum[r][v], d, y + r * kPanel + v * kLanes);
        }
    }
    for (std::size_t g = 0; g < x.groups; ++g) {
        const std::byte* group = w + g * kQ8GroupBytes;
        const auto* bytes = reinterpret_cast<const std::uint16_t*>(group + 2 * kPanel) + at * 2;
        hn::Vec<I32> dot[R][V];
        for (std::size_t r = 0; r < R; ++r) {
            const auto offset = hn::Set(di, x.offsets[(row + r) * x.groups + g]);
            for (std::size_t v = 0; v < V; ++v) dot[r][v] = offset;
        }
        for (std::size_t q = 0; q < kQuads; ++q) {
            // Keeps the reads in the order of the lines. Otherwise the processor sees no stream,
            // which makes it up to 20 % slower.
            std::atomic_signal_fence(std::memory_order_seq_cst);
            for (std::size_t i = q * P / kQuads; i < (q + 1) * P / kQuads; ++i) {
                __builtin_prefetch(ahead + g * kQ8GroupBytes + i * 64, 0, 2);
            }
            for (std::size_t v = 0; v < V; ++v) {
                const auto quad = split(bytes + q * kPanel * 2 + v * kLanes * 2);
                for (std::size_t r = 0; r < R; ++r) {
                    const std::size_t at_quad = ((row + r) * x.groups + g) * kQuads + q;
                    dot[r][v] = add_quad(quad, x.words + at_quad * kWords, dot[r][v]);
                }
            }
        }
        const auto* scales = reinterpret_cast<const hwy::float16_t*>(group) + at;
        for (std::size_t v = 0; v < V; ++v) {
            const auto half = hn::Load(hn::Rebind<hwy::float16_t, F32>(), scales + v * kLanes);
            const auto weight_scale = hn::PromoteTo(d, half);
            for (std::size_t r = 0; r < R; ++r) {
                const auto row_scale = hn::Set(d, x.scales[(row + r) * x.groups + g]);
                const auto scale = hn::Mul(weight_scale, row_scale);
                const auto value = hn::ConvertTo(d, dot[r][v]);
                float* to = y + r * kPanel + v * kLanes;
                if (kSumsInMemory) {
                    hn::Store(hn::MulAdd(value, scale, hn::Load(d, to)), d, to);
                } else {
                    sum[r][v] = hn::MulAdd(value, scale, sum[r][v]);
                }
            }
        }
    }
    if (kSumsInMemory) return;
    for (std::size_t r = 0; r < R; ++r) {
        for (std::size_t v = 0; v < V; ++v) hn::Store(sum[r][v], d, y + r * kPanel + v * kLanes);
    }
}

/// A panel of weights, the rows to multiply and the place of the outputs.
struct Panel {
    const std::byte* w;
    Q8Rows x;
    float* y;
    std::size_t y_stride;
    std::size_t width;
};

template <std::size_t R, std::size_t P>
void panel_tile(const Panel& panel, std::size_t row, const std::byte* ahead) {
    constexpr std::size_t kVectors = tile_vectors(R);
    HWY_ALIGN float out[R * kPanel];
    for (std::size_t at = 0; at < kPanel; at += kVectors * kLanes) {
        tile<R, kVectors, P>(panel.w, at, panel.x, row, ahead, out + at);
    }
    for (std::size_t r = 0; r < R; ++r) {
        std::memcpy(panel.y + (row + r) * panel.y_stride, out + r * kPanel,
                    panel.width * sizeof(float));
    }
}

/// Prefetches the next panel while the tiles of the current one compute. Otherwise the first tile
/// of a panel would wait for memory, and memory would be idle during the others. A single tile
/// leaves this to the processor, which does it well. On narrow targets a tile covers only a part of
/// the panel, and it computes too long to gain from a prefetch. One missing line costs as much as
/// many, so the last tile may prefetch some lines twice.
class Ahead {
public:
    Ahead(const std::byte* next, std::size_t tiles) : at_(next) {
        if (tiles > 1 && tile_vectors(kRows) * kLanes == kPanel) {
            pace_ = tiles == 2 ? kHalf : tiles <= 4 ? kMany : kFew;
        }
    }

    /// Returns the number of lines of each group to prefetch during the next tile.
    std::size_t pace() const { return lines_ > 0 ? pace_ : 0; }
    /// Returns the address of the first of them, in the first group.
    const std::byte* at() const { return at_; }
    void tile_done() {
        const std::size_t done = std::min(lines_, pace());
        lines_ -= done;
        at_ += done * 64;
    }

    static constexpr std::size_t kLines = kQ8GroupBytes / 64;  // cache lines of a group
    static constexpr std::size_t kHalf = (kLines + 1) / 2;
    static constexpr std::size_t kMany = 16;
    static constexpr std::size_t kFew = 8;

private:
    const std::byte* at_;
    std::size_t lines_ = kLines;  // left to prefetch in each group
    std::size_t pace_ = 0;
};

/// Computes a tile of `rows` rows, at most R.
template <std::size_t R>
void panel_rows(const Panel& panel, std::size_t row, std::size_t rows, Ahead& ahead) {
    if constexpr (R > 1) {
        if (rows < R) return panel_rows<R - 1>(panel, row, rows, ahead);
    }
    const std::size_t pace = ahead.pace();
    if (pace == Ahead::kHalf) {
        panel_tile<R, Ahead::kHalf>(panel, row, ahead.at());
    } else if (pace == Ahead::kMany) {
        panel_tile<R, Ahead::kMany>(panel, row, ahead.at());
    } else if (pace == Ahead::kFew) {
        panel_tile<R, Ahead::kFew>(panel, row, ahead.at());
    } else {
        panel_tile<R, 0>(panel, row, ahead.at());
    }
    ahead.tile_done();
}

void q8_panel(const CpuMatrix& matrix, std::size_t index, const Q8Rows& x, float* y,
              std::size_t y_stride, std::size_t rows) {
    const std::size_t width = std::min(kPanel, static_cast<std::size_t>(matrix.n) - index * kPanel);
    const Panel panel{matrix.panel(index), x, y + index * kPanel, y_stride, width};
    const std::size_t tiles = rows <= kMostRows ? 1 : (rows - kMostRows + kRows - 1) / kRows + 1;
    Ahead ahead(panel.w + matrix.panel_bytes(), tiles);
    std::size_t row = 0;
    for (; rows - row > kMostRows; row += kRows) panel_rows<kRows>(panel, row, kRows, ahead);
    // A tile of two rows is too short to prefetch half a panel, so it also computes the row before
    // them again, to the same values.
    const std::size_t least = tiles == 2 && ahead.pace() > 0 ? kRows : 1;
    const std::size_t last = std::max(rows - row, least);
    panel_rows<kMostRows>(panel, rows - last, last, ahead);
}
#endif  // HWY_TARGET

/// Quantises one group to bytes, stored as int32, and their sum. Returns the scale.
HWY_INLINE float quantise_group(const float* values, std::int32_t* bytes, std::int32_t* total) {
    const hn::CappedTag<float, 16> d;
    const hn::RebindToSigned<decltype(d)> di;
    // Magnitudes compare like their bits. A maximum of floats could lose NaN, and with it the fact
    // that the group holds no numbers: a scale of NaN makes every output NaN.
    auto most = hn::Zero(di);
    for (std::size_t i = 0; i < kGroup; i += hn::Lanes(d)) {
        most = hn::Max(most, hn::BitCast(di, hn::Abs(hn::LoadU(d, values + i))));
    }
    const float largest = hn::GetLane(hn::BitCast(d, hn::MaxOfLanes(di, most)));
    const auto inverse = hn::Set(d, largest > 0 ? 127.0f / largest : 0.0f);
    auto sum = hn::Zero(di);
    for (std::size_t i = 0; i < kGroup; i += hn::Lanes(d)) {
        const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, values + i), inverse));
        hn::Store(rounded, di, bytes + i);
        sum = hn::Add(sum, rounded);
    }
    *total = hn::GetLane(hn::SumOfLanes(di, sum));
    return largest / 127.0f;
}

/// Quantises one row into the workspace.
void quantise_row(const float* x, std::size_t row, const Q8Rows& out) {
    HWY_ALIGN std::int32_t bytes[kGroup];
    for (std::size_t g = 0; g < out.groups; ++g) {
        const std::size_t at = row * out.groups + g;
        std::int32_t total = 0;
        out.scales[at] = quantise_group(x + g * kGroup, bytes, &total);
        out.offsets[at] = -128 * total;
#if HWY_TARGET == HWY_AVX3_DL
        const I32 d;
        const hn::Rebind<std::int8_t, I32> d8;
        auto* to = reinterpret_cast<std::int8_t*>(out.words + at * kQuads);
        for (std::size_t i = 0; i < kGroup; i += kLanes) {
            hn::StoreU(hn::DemoteTo(d8, hn::Load(d, bytes + i)), d8, to + i);
        }
#else
        for (std::size_t q = 0; q < kQuads; ++q) {
            const auto pair = [&](std::size_t low, std::size_t high) {
                const auto bits = static_cast<std::uint32_t>(bytes[4 * q + low] & 0xffff) |
                                  static_cast<std::uint32_t>(bytes[4 * q + high]) << 16;
                return static_cast<std::int32_t>(bits);
            };
            out.words[(at * kQuads + q) * 2] = pair(0, 2);
            out.words[(at * kQuads + q) * 2 + 1] = pair(1, 3);
        }
#endif
    }
}

}  // namespace molink::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace molink::cpu {
HWY_EXPORT(q8_panel);
HWY_EXPORT(quantise_row);

std::size_t matmul_q8_workspace(std::size_t rows, std::size_t k) {
    const std::size_t groups = (k + kGroup - 1) / kGroup;
    return rows * groups * (sizeof(float) + sizeof(std::int32_t) * (1 + 2 * kQuads));
}

void matmul_q8(const MatmulArgs& args, ThreadPool& pool) {
    const auto& matrix = static_cast<const CpuMatrix&>(*args.weight);
    const auto rows = static_cast<std::size_t>(args.rows);
    const Q8Rows quantised(args.workspace, rows, static_cast<std::size_t>(matrix.k));
    pool.parallel_for(rows, 8, [&](std::size_t begin, std::size_t end) {
        for (std::size_t row = begin; row < end; ++row) {
            HWY_DYNAMIC_DISPATCH(quantise_row)
            (floats(args.x) + row * static_cast<std::size_t>(args.x_stride), row, quantised);
        }
    });
    const std::size_t chunk = panels_per_chunk(matrix.panels(), pool.threads());
    pool.parallel_for(matrix.panels(), chunk, [&](std::size_t begin, std::size_t end) {
        for (std::size_t panel = begin; panel < end; ++panel) {
            HWY_DYNAMIC_DISPATCH(q8_panel)
            (matrix, panel, quantised, floats(args.y), static_cast<std::size_t>(args.y_stride),
             rows);
        }
    });
}

}  // namespace molink::cpu
#endif
