// Causal attention over pages, with an online softmax per (row, head) (Milakov and Gimelshein
// 2018). Scores, maxima and sums are computed by tiles of 16 absolute positions, in order, so that
// the bits depend only on the positions and not on the batch, the slices, the block size or the
// SIMD width. A score is one chain over head_dim (lanes are positions). An output is one chain over
// positions (lanes are outputs). Up to four (row, head) pairs of one KV head are computed together,
// which hides the latency of the chains. Several pairs are bound by arithmetic, but a single pair
// waits for memory. Therefore each tile is computed for all KV heads of the part, in the order in
// which they lie in memory, so that the processor sees a stream.
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
/// (row, head) pairs of one KV head that are computed together.
inline constexpr std::size_t kItems = 4;
/// Maximum number of items of all KV heads that go through a tile together.
inline constexpr std::size_t kStreamed = 16;
inline constexpr std::size_t kMaxHeadDim = 512;

/// One (row, head) pair under way.
struct AttentionItem {
    const float* q;
    float* out;
    std::int64_t first;  // it attends to positions [first, last]
    std::int64_t last;
    float maximum;
    alignas(64) float sums[16];
    alignas(64) float acc[kMaxHeadDim];
};

/// Positions [low, high) of a tile, and the first output to compute.
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

/// Groups of 16 outputs that are computed at once for I items.
template <std::size_t I>
constexpr std::size_t kColumns = 8 / (I * kTileVectors) > 0 ? 8 / (I * kTileVectors) : 1;

/// The addresses of one tile of one KV head.
template <typename T>
struct Tile {
    const T* k;  // [head_dim] rows, k_stride apart
    const T* v;  // [16] rows of v_width
};

/// Sizes and strides of all tiles, in elements.
struct TileShape {
    std::int64_t head_dim;
    std::int64_t k_stride;
    std::int64_t k_head;
    std::int64_t v_width;
    std::int64_t v_head;
};

/// Computes the scores [I][16] of I items. Items beyond `count` repeat the last one.
template <typename T, std::size_t I>
HWY_INLINE void score_tile(const AttentionItem* items, std::size_t count, const Tile<T>& tile,
                           const TileShape& shape, float (*scores)[16]) {
    const F32 d;
    constexpr std::int64_t kLine = 64 / sizeof(T);
    hn::Vec<F32> sum[I][kTileVectors];
    const float* q[I];
    for (std::size_t i = 0; i < I; ++i) {
        q[i] = items[std::min(i, count - 1)].q;
        for (std::size_t v = 0; v < kTileVectors; ++v) sum[i][v] = hn::Zero(d);
    }
    for (std::int64_t at = 0; at < shape.head_dim; ++at) {
        // With one item nothing else hides the latency of memory.
        if (I == 1 && at * 16 % kLine == 0) hwy::Prefetch(tile.v + at * 16);
        for (std::size_t v = 0; v < kTileVectors; ++v) {
            const auto key = load(d, tile.k + at * shape.k_stride + v * kLanes);
            for (std::size_t i = 0; i < I; ++i) {
                sum[i][v] = hn::MulAdd(hn::Set(d, q[i][at]), key, sum[i][v]);
            }
        }
    }
    for (std::size_t i = 0; i < I; ++i) {
        for (std::size_t v = 0; v < kTileVectors; ++v) {
            hn::Store(sum[i][v], d, scores[i] + v * kLanes);
        }
    }
}

/// Turns scores into weights relative to the running maximum. Positions outside [low, high) get
/// weight 0.
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

/// Computes acc += weights x values over the positions of the range, in order, for C x 16 outputs
/// from range.at on.
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

template <typename T, std::size_t I, std::size_t C = kColumns<I>>
HWY_INLINE void gather_tile(AttentionItem* items, const float (*weights)[16], const T* values,
                            TileRange range, std::int64_t v_width) {
    constexpr std::int64_t kStep = C * 16;
    for (; range.at + kStep <= v_width; range.at += kStep) {
        gather_columns<T, I, C>(items, weights, values, range, v_width);
    }
    if constexpr (C > 1) gather_tile<T, I, C / 2>(items, weights, values, range, v_width);
}

/// Adds one tile to the softmax and the outputs of the items.
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

template <typename T>
Tile<T> tile_at(const AttentionArgs& args, const TileShape& shape, const AttentionPart& part,
                std::int64_t position) {
    const std::int64_t sequence = args.batch.sequence_of_row[part.row];
    const std::byte* page = page_of(args.pages, args.batch, sequence, position);
    const std::int64_t inside = position % args.pages.block_tokens;
    const auto* k = reinterpret_cast<const T*>(page);
    const auto* v = reinterpret_cast<const T*>(page + KvLayout(args.pages).k_bytes);
    return {k + part.kv_head * shape.k_head + inside,
            v + part.kv_head * shape.v_head + inside * shape.v_width};
}

/// Computes `count` items, at most I, of each KV head of the part.
template <typename T, std::size_t I>
void attend(const AttentionArgs& args, const AttentionPart& part, AttentionItem (*heads)[I],
            std::size_t count) {
    const std::int64_t block_tokens = args.pages.block_tokens;
    const std::int64_t head_dim = args.pages.head_dim;
    const std::int64_t v_width = KvLayout(args.pages).v_width;
    const TileShape shape{head_dim, block_tokens, head_dim * block_tokens, v_width,
                          block_tokens * v_width};
    std::int64_t first = heads[0][0].first;
    std::int64_t last = heads[0][0].last;
    for (std::size_t i = 1; i < count; ++i) {
        first = std::min(first, heads[0][i].first);
        last = std::max(last, heads[0][i].last);
    }
    const auto kv_heads = static_cast<std::size_t>(part.kv_heads);
    for (std::int64_t begin = first / kTile * kTile; begin <= last; begin += kTile) {
        Tile<T> tile = tile_at<T>(args, shape, part, begin);
        for (std::size_t head = 0; head < kv_heads; ++head) {
            HWY_ALIGN float scores[I][16];
            score_tile<T, I>(heads[head], count, tile, shape, scores);
            absorb_tile<T, I>(args, heads[head], count, begin, scores, tile.v, v_width);
            tile.k += shape.k_head;
            tile.v += shape.v_head;
        }
    }
    for (std::size_t head = 0; head < kv_heads; ++head) {
        for (std::size_t i = 0; i < count; ++i) {
            const AttentionItem& item = heads[head][i];
            const float total = sum16(item.sums);
            for (std::int64_t at = 0; at < head_dim; ++at) item.out[at] = item.acc[at] / total;
        }
    }
}

void start_item(const AttentionArgs& args, std::int64_t row, std::int64_t head,
                AttentionItem& item) {
    const std::int64_t head_dim = args.pages.head_dim;
    const std::int64_t position = args.batch.positions[row];
    item.q = floats(args.q) + row * args.q_stride + head * head_dim;
    item.out = floats(args.out) + (row * args.q_heads + head) * head_dim;
    item.last = position;
    item.first = args.window > 0 ? std::max<std::int64_t>(0, position - args.window + 1) : 0;
    item.maximum = -std::numeric_limits<float>::infinity();
    std::fill(std::begin(item.sums), std::end(item.sums), 0.0f);
    std::fill(item.acc, item.acc + KvLayout(args.pages).v_width, 0.0f);
}

/// Computes the pairs [from, from + count) among the (row, head) pairs of each KV head of the part.
template <typename T, std::size_t I>
void attend_pairs(const AttentionArgs& args, AttentionPart part, std::int64_t from,
                  std::size_t count) {
    constexpr std::int32_t kMostHeads = kStreamed / I;
    AttentionItem heads[kMostHeads][I];
    const std::int64_t group = args.q_heads / args.pages.kv_heads;
    const std::int32_t end = part.kv_head + part.kv_heads;
    for (; part.kv_head < end; part.kv_head += part.kv_heads) {
        part.kv_heads = std::min(end - part.kv_head, kMostHeads);
        for (std::int32_t n = 0; n < part.kv_heads; ++n) {
            for (std::size_t i = 0; i < count; ++i) {
                const std::int64_t at = from + static_cast<std::int64_t>(i);
                start_item(args, part.row + at / group, (part.kv_head + n) * group + at % group,
                           heads[n][i]);
            }
        }
        attend<T, I>(args, part, heads, count);
    }
}

template <typename T>
void part_of(const AttentionArgs& args, const AttentionPart& part) {
    const std::int64_t total = part.rows * (args.q_heads / args.pages.kv_heads);
    for (std::int64_t done = 0; done < total; done += kItems) {
        const auto count = static_cast<std::size_t>(std::min<std::int64_t>(kItems, total - done));
        if (count == 1) {
            attend_pairs<T, 1>(args, part, done, count);
        } else if (count == 2) {
            attend_pairs<T, 2>(args, part, done, count);
        } else {
            attend_pairs<T, 4>(args, part, done, count);
        }
    }
}

void attention(const AttentionArgs& args, const AttentionPart& part) {
    if (args.pages.type == ElementType::f32) {
        part_of<float>(args, part);
    } else {
        part_of<hwy::float16_t>(args, part);
    }
}

}  // namespace molink::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace molink::cpu {
HWY_EXPORT(attention);

void attention_part(const AttentionArgs& args, const AttentionPart& part) {
    HWY_DYNAMIC_DISPATCH(attention)(args, part);
}

}  // namespace molink::cpu
#endif
