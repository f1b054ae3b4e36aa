// Causal attention over pages. Scores, maxima and sums go by tiles of 16 absolute positions, in
// order, with an online softmax per (row, head), so that the bits depend on nothing but the
// positions: not on the batch, the slices, the block size or the SIMD width. A score is one chain
// over head_dim (lanes are positions), an output one chain over positions (lanes are outputs). Up
// to four (row, head) pairs of one KV head and several tiles are worked on together, which hides
// the latency of the chains.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <hwy/cache_control.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/kv_layout.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/attention.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "backend/cpu/math-inl.h"

#ifndef MOLINK_CPU_ATTENTION_ONCE
#define MOLINK_CPU_ATTENTION_ONCE
namespace molink::cpu {

inline constexpr std::int64_t kTile = 16;
inline constexpr std::size_t kItems = 4;
inline constexpr std::size_t kMaxHeadDim = 512;

/// One (row, head) under way.
struct AttentionItem {
    const float* q;
    float* out;
    std::int64_t first;  // positions it sees: [first, last]
    std::int64_t last;
    float maximum;
    alignas(64) float sums[16];
    alignas(64) float acc[kMaxHeadDim];
};

/// Positions [low, high) of a tile, and the first output to work on.
struct TileRange {
    std::int64_t low = 0;
    std::int64_t high = 0;
    std::int64_t at = 0;
};

}  // namespace molink::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace molink::cpu::HWY_NAMESPACE {

using F32 = hn::CappedTag<float, 16>;
constexpr std::size_t kLanes = hn::MaxLanes(F32());
constexpr std::size_t kTileVectors = 16 / kLanes;

HWY_INLINE hn::Vec<F32> load(F32 d, const float* from) {
    return hn::LoadU(d, from);
}
HWY_INLINE hn::Vec<F32> load(F32 d, const hwy::float16_t* from) {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, F32>(), from));
}

/// Chains under way at once with I items: tiles of scores, or vectors of outputs.
template <std::size_t I>
constexpr std::size_t chains() {
    return 8 / (I * kTileVectors) > 0 ? 8 / (I * kTileVectors) : 1;
}

/// Where one tile of one KV head lies.
template <typename T>
struct Tile {
    const T* k;  // [head_dim] rows, block_tokens apart
    const T* v;  // [16] rows, v_width apart
};

/// Scores of I items against N tiles; items beyond `count` repeat the last one.
template <typename T, std::size_t I, std::size_t N>
HWY_INLINE void score_tiles(const AttentionItem* items, std::size_t count, const Tile<T>* tiles,
                            const KvPages& pages, float (*scores)[kItems][16]) {
    const F32 d;
    hn::Vec<F32> sum[N][I][kTileVectors];
    const float* q[I];
    for (std::size_t i = 0; i < I; ++i) {
        q[i] = items[std::min(i, count - 1)].q;
        for (std::size_t n = 0; n < N; ++n) {
            for (std::size_t v = 0; v < kTileVectors; ++v) sum[n][i][v] = hn::Zero(d);
        }
    }
    const std::int64_t head_dim = pages.head_dim;
    const std::int64_t stride = pages.block_tokens;
    for (std::int64_t at = 0; at < head_dim; ++at) {
        for (std::size_t n = 0; n < N; ++n) {
            // With one row nothing hides how long memory takes.
            if constexpr (I == 1) hwy::Prefetch(tiles[n].v + at * 16);
            for (std::size_t v = 0; v < kTileVectors; ++v) {
                const auto key =
                    load(d, tiles[n].k + at * stride + static_cast<std::int64_t>(v * kLanes));
                for (std::size_t i = 0; i < I; ++i) {
                    sum[n][i][v] = hn::MulAdd(hn::Set(d, q[i][at]), key, sum[n][i][v]);
                }
            }
        }
    }
    for (std::size_t n = 0; n < N; ++n) {
        for (std::size_t i = 0; i < I; ++i) {
            for (std::size_t v = 0; v < kTileVectors; ++v) {
                hn::Store(sum[n][i][v], d, scores[n][i] + v * kLanes);
            }
        }
    }
}

/// Turns scores into weights relative to the running maximum; positions outside [low, high) weigh
/// 0.
HWY_INLINE void weigh_tile(AttentionItem& item, float* scores, const TileRange& range,
                           const AttentionArgs& args, std::int64_t v_width) {
    const F32 d;
    const auto scale = hn::Set(d, args.scale);
    const auto cap = hn::Set(d, args.soft_cap);
    const auto low = hn::Set(d, static_cast<float>(range.low));
    const auto high = hn::Set(d, static_cast<float>(range.high));
    const auto nothing = hn::Neg(hn::Inf(d));
    hn::Vec<F32> values[kTileVectors];
    auto largest = hn::Set(d, item.maximum);
    for (std::size_t v = 0; v < kTileVectors; ++v) {
        auto value = hn::Mul(hn::Load(d, scores + v * kLanes), scale);
        if (args.soft_cap != 0) value = hn::Mul(cap, tanh_of(d, hn::Div(value, cap)));
        const auto at = hn::Iota(d, static_cast<float>(v * kLanes));
        values[v] = hn::IfThenElse(hn::And(hn::Ge(at, low), hn::Lt(at, high)), value, nothing);
        largest = hn::Max(largest, values[v]);
    }
    const auto top = hn::MaxOfLanes(d, largest);
    const float maximum = hn::GetLane(top);
    auto factor = hn::Set(d, 1.0f);
    if (maximum != item.maximum) {
        factor = exp_of(d, hn::Set(d, item.maximum - maximum));
        for (std::int64_t at = 0; at < v_width; at += static_cast<std::int64_t>(kLanes)) {
            hn::Store(hn::Mul(hn::Load(d, item.acc + at), factor), d, item.acc + at);
        }
    }
    for (std::size_t v = 0; v < kTileVectors; ++v) {
        const auto weight = exp_of(d, hn::Sub(values[v], top));
        hn::Store(weight, d, scores + v * kLanes);
        const auto sum = hn::MulAdd(hn::Load(d, item.sums + v * kLanes), factor, weight);
        hn::Store(sum, d, item.sums + v * kLanes);
    }
    item.maximum = maximum;
}

/// acc += weights x values over the positions of the range, in order, for C x 16 outputs from `at`.
template <typename T, std::size_t I, std::size_t C>
HWY_INLINE void gather_columns(AttentionItem* items, const float (*weights)[16], const T* values,
                               const TileRange& range, std::int64_t v_width) {
    const F32 d;
    constexpr std::size_t kVectors = C * kTileVectors;
    hn::Vec<F32> acc[I][kVectors];
    for (std::size_t i = 0; i < I; ++i) {
        for (std::size_t v = 0; v < kVectors; ++v) {
            acc[i][v] = hn::Load(d, items[i].acc + range.at + v * kLanes);
        }
    }
    for (std::int64_t j = range.low; j < range.high; ++j) {
        const T* from = values + j * v_width + range.at;
        for (std::size_t v = 0; v < kVectors; ++v) {
            const auto value = load(d, from + v * kLanes);
            for (std::size_t i = 0; i < I; ++i) {
                acc[i][v] = hn::MulAdd(hn::Set(d, weights[i][j]), value, acc[i][v]);
            }
        }
    }
    for (std::size_t i = 0; i < I; ++i) {
        for (std::size_t v = 0; v < kVectors; ++v) {
            hn::Store(acc[i][v], d, items[i].acc + range.at + v * kLanes);
        }
    }
}

template <typename T, std::size_t I>
HWY_INLINE void gather_tile(AttentionItem* items, const float (*weights)[16], const T* values,
                            TileRange range, std::int64_t v_width) {
    constexpr std::size_t kColumns = chains<I>();
    constexpr std::int64_t kStep = kColumns * 16;
    for (; range.at + kStep <= v_width; range.at += kStep) {
        gather_columns<T, I, kColumns>(items, weights, values, range, v_width);
    }
    for (; range.at < v_width; range.at += 16) {
        gather_columns<T, I, 1>(items, weights, values, range, v_width);
    }
}

/// Softmax and outputs of one tile.
template <typename T, std::size_t I>
HWY_INLINE void absorb_tile(const AttentionArgs& args, AttentionItem* items, std::size_t count,
                            std::int64_t tile, float (*scores)[16], const T* values,
                            std::int64_t v_width) {
    TileRange ranges[I];
    std::size_t whole = 0;
    for (std::size_t i = 0; i < count; ++i) {
        ranges[i].low = std::max<std::int64_t>(items[i].first - tile, 0);
        ranges[i].high = std::min<std::int64_t>(items[i].last - tile + 1, kTile);
        if (ranges[i].low >= ranges[i].high) continue;
        weigh_tile(items[i], scores[i], ranges[i], args, v_width);
        whole += ranges[i].high - ranges[i].low == kTile ? 1 : 0;
    }
    if (whole == I) return gather_tile<T, I>(items, scores, values, {0, kTile, 0}, v_width);
    for (std::size_t i = 0; i < count; ++i) {
        if (ranges[i].low >= ranges[i].high) continue;
        gather_tile<T, 1>(items + i, scores + i, values, ranges[i], v_width);
    }
}

template <typename T, std::size_t I>
void attend(const AttentionArgs& args, std::int64_t sequence, std::int64_t kv_head,
            AttentionItem* items, std::size_t count) {
    constexpr std::size_t kTiles = chains<I>();
    const KvLayout layout(args.pages);
    const std::int64_t head_dim = args.pages.head_dim;
    const std::int64_t block_tokens = args.pages.block_tokens;
    std::int64_t first = items[0].first;
    std::int64_t last = items[0].last;
    for (std::size_t i = 1; i < count; ++i) {
        first = std::min(first, items[i].first);
        last = std::max(last, items[i].last);
    }
    HWY_ALIGN float scores[kTiles][kItems][16];
    Tile<T> tiles[kTiles];
    for (std::int64_t begin = first / kTile * kTile; begin <= last;) {
        std::size_t found = 0;
        for (std::int64_t at = begin; found < kTiles && at <= last; at += kTile, ++found) {
            const std::byte* page = page_of(args.pages, args.batch, sequence, at);
            const std::int64_t inside = at % block_tokens;
            tiles[found].k =
                reinterpret_cast<const T*>(page) + kv_head * head_dim * block_tokens + inside;
            tiles[found].v = reinterpret_cast<const T*>(page + layout.k_bytes) +
                             (kv_head * block_tokens + inside) * layout.v_width;
        }
        if (found == kTiles) {
            score_tiles<T, I, kTiles>(items, count, tiles, args.pages, scores);
        } else {
            for (std::size_t n = 0; n < found; ++n) {
                score_tiles<T, I, 1>(items, count, tiles + n, args.pages, scores + n);
            }
        }
        for (std::size_t n = 0; n < found; ++n, begin += kTile) {
            absorb_tile<T, I>(args, items, count, begin, scores[n], tiles[n].v, layout.v_width);
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        const float total = sum16(items[i].sums);
        for (std::int64_t at = 0; at < head_dim; ++at) items[i].out[at] = items[i].acc[at] / total;
    }
}

template <typename T>
void attend_any(const AttentionArgs& args, std::int64_t sequence, std::int64_t kv_head,
                AttentionItem* items, std::size_t count) {
    if (count == 1) return attend<T, 1>(args, sequence, kv_head, items, count);
    if (count == 2) return attend<T, 2>(args, sequence, kv_head, items, count);
    return attend<T, 4>(args, sequence, kv_head, items, count);
}

void block(const AttentionArgs& args, const RowBlock& rows, std::int64_t kv_head) {
    AttentionItem items[kItems];
    const std::int64_t head_dim = args.pages.head_dim;
    const std::int64_t group = args.heads / args.pages.kv_heads;
    const std::int64_t sequence = args.batch.sequence_of_row[rows.begin];
    const std::int64_t total = rows.rows * group;
    for (std::int64_t done = 0; done < total; done += kItems) {
        const auto count = static_cast<std::size_t>(std::min<std::int64_t>(kItems, total - done));
        for (std::size_t i = 0; i < count; ++i) {
            const std::int64_t at = done + static_cast<std::int64_t>(i);
            const std::int64_t row = rows.begin + at / group;
            const std::int64_t head = kv_head * group + at % group;
            const std::int64_t position = args.batch.positions[row];
            AttentionItem& item = items[i];
            item.q = args.q + row * args.q_stride + head * head_dim;
            item.out = args.out + (row * args.heads + head) * head_dim;
            item.last = position;
            item.first =
                args.window > 0 ? std::max<std::int64_t>(0, position - args.window + 1) : 0;
            item.maximum = -std::numeric_limits<float>::infinity();
            std::fill(std::begin(item.sums), std::end(item.sums), 0.0f);
            std::fill(item.acc, item.acc + KvLayout(args.pages).v_width, 0.0f);
        }
        if (args.pages.type == ElementType::f32) {
            attend_any<float>(args, sequence, kv_head, items, count);
        } else {
            attend_any<hwy::float16_t>(args, sequence, kv_head, items, count);
        }
    }
}

}  // namespace molink::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace molink::cpu {
HWY_EXPORT(block);

void attention_block(const AttentionArgs& args, const RowBlock& rows, std::int64_t kv_head) {
    HWY_DYNAMIC_DISPATCH(block)(args, rows, kv_head);
}

}  // namespace molink::cpu
#endif
