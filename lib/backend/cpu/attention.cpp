// Causal attention over pages, and writing them. Scores, maxima and sums go by tiles of 16
// absolute positions, in order, with an online softmax per (row, head), so that the bits depend on
// nothing but the positions: not on the batch, the slices, the block size or the SIMD width. A
// score is one chain over head_dim (lanes are positions), an output one chain over positions
// (lanes are outputs). Up to four (row, head) pairs of one KV head are worked on together, which
// hides the latency of the chains.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

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

/// Scores of `count` items against the tile whose keys begin at `k` ([head_dim] rows, `stride`
/// apart).
template <typename T>
HWY_INLINE void score_tile(const AttentionItem* items, std::size_t count, const T* k,
                           std::int64_t stride, std::int64_t head_dim, float (*scores)[16]) {
    const F32 d;
    hn::Vec<F32> sum[kItems][kTileVectors];
    for (std::size_t i = 0; i < kItems; ++i) {
        for (std::size_t v = 0; v < kTileVectors; ++v) sum[i][v] = hn::Zero(d);
    }
    const float* q[kItems];
    for (std::size_t i = 0; i < kItems; ++i) q[i] = items[std::min(i, count - 1)].q;
    for (std::int64_t at = 0; at < head_dim; ++at) {
        for (std::size_t v = 0; v < kTileVectors; ++v) {
            const auto key = load(d, k + at * stride + static_cast<std::int64_t>(v * kLanes));
            for (std::size_t i = 0; i < kItems; ++i) {
                sum[i][v] = hn::MulAdd(hn::Set(d, q[i][at]), key, sum[i][v]);
            }
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t v = 0; v < kTileVectors; ++v) {
            hn::Store(sum[i][v], d, scores[i] + v * kLanes);
        }
    }
}

/// Turns scores into weights relative to the running maximum; positions outside [low, high) weigh
/// 0.
HWY_INLINE void weigh_tile(AttentionItem& item, float* scores, std::int64_t low, std::int64_t high,
                           const AttentionArgs& args, std::int64_t v_width) {
    const F32 d;
    const auto scale = hn::Set(d, args.scale);
    const auto cap = hn::Set(d, args.soft_cap);
    for (std::size_t v = 0; v < 16; v += kLanes) {
        auto value = hn::Mul(hn::Load(d, scores + v), scale);
        if (args.soft_cap != 0) value = hn::Mul(cap, tanh_of(d, hn::Div(value, cap)));
        hn::Store(value, d, scores + v);
    }
    float maximum = item.maximum;
    for (std::int64_t j = low; j < high; ++j) maximum = std::max(maximum, scores[j]);
    for (std::int64_t j = 0; j < 16; ++j) {
        if (j < low || j >= high) scores[j] = -std::numeric_limits<float>::infinity();
    }
    HWY_ALIGN float shift[16];
    for (std::size_t v = 0; v < 16; v += kLanes) {
        hn::Store(hn::Set(d, item.maximum - maximum), d, shift + v);
    }
    const auto factor = exp_of(d, hn::Load(d, shift));
    const auto top = hn::Set(d, maximum);
    for (std::size_t v = 0; v < 16; v += kLanes) {
        const auto weight = exp_of(d, hn::Sub(hn::Load(d, scores + v), top));
        hn::Store(weight, d, scores + v);
        const auto sum = hn::MulAdd(hn::Load(d, item.sums + v), factor, weight);
        hn::Store(sum, d, item.sums + v);
    }
    if (maximum != item.maximum) {
        for (std::int64_t at = 0; at < v_width; at += static_cast<std::int64_t>(kLanes)) {
            hn::Store(hn::Mul(hn::Load(d, item.acc + at), factor), d, item.acc + at);
        }
    }
    item.maximum = maximum;
}

/// acc += weights x values over positions [low, high) of the tile, in order.
template <typename T>
HWY_INLINE void gather_tile(AttentionItem& item, const float* weights, const T* values,
                            std::int64_t low, std::int64_t high, std::int64_t v_width) {
    const F32 d;
    constexpr std::int64_t kStep = 16;
    for (std::int64_t at = 0; at < v_width; at += kStep) {
        hn::Vec<F32> acc[kTileVectors];
        for (std::size_t v = 0; v < kTileVectors; ++v) {
            acc[v] = hn::Load(d, item.acc + at + static_cast<std::int64_t>(v * kLanes));
        }
        for (std::int64_t j = low; j < high; ++j) {
            const auto weight = hn::Set(d, weights[j]);
            for (std::size_t v = 0; v < kTileVectors; ++v) {
                const T* from = values + j * v_width + at + static_cast<std::int64_t>(v * kLanes);
                acc[v] = hn::MulAdd(weight, load(d, from), acc[v]);
            }
        }
        for (std::size_t v = 0; v < kTileVectors; ++v) {
            hn::Store(acc[v], d, item.acc + at + static_cast<std::int64_t>(v * kLanes));
        }
    }
}

template <typename T>
void attend(const AttentionArgs& args, std::int64_t sequence, std::int64_t kv_head,
            AttentionItem* items, std::size_t count) {
    const KvLayout layout(args.pages);
    const std::int64_t head_dim = args.pages.head_dim;
    const std::int64_t block_tokens = args.pages.block_tokens;
    std::int64_t first = items[0].first;
    std::int64_t last = items[0].last;
    for (std::size_t i = 1; i < count; ++i) {
        first = std::min(first, items[i].first);
        last = std::max(last, items[i].last);
    }
    HWY_ALIGN float scores[kItems][16];
    for (std::int64_t tile = first / kTile * kTile; tile <= last; tile += kTile) {
        const std::byte* page = page_of(args.pages, args.batch, sequence, tile);
        const std::int64_t inside = tile % block_tokens;
        const T* k = reinterpret_cast<const T*>(page) + kv_head * head_dim * block_tokens + inside;
        const T* v = reinterpret_cast<const T*>(page + layout.k_bytes) +
                     (kv_head * block_tokens + inside) * layout.v_width;
        score_tile<T>(items, count, k, block_tokens, head_dim, scores);
        for (std::size_t i = 0; i < count; ++i) {
            const std::int64_t low = std::max<std::int64_t>(items[i].first - tile, 0);
            const std::int64_t high = std::min<std::int64_t>(items[i].last - tile + 1, kTile);
            if (low >= high) continue;
            weigh_tile(items[i], scores[i], low, high, args, layout.v_width);
            gather_tile<T>(items[i], scores[i], v, low, high, layout.v_width);
        }
    }
    for (std::size_t i = 0; i < count; ++i) {
        const float total = sum16(items[i].sums);
        for (std::int64_t at = 0; at < head_dim; ++at) items[i].out[at] = items[i].acc[at] / total;
    }
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
            attend<float>(args, sequence, kv_head, items, count);
        } else {
            attend<hwy::float16_t>(args, sequence, kv_head, items, count);
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
