#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/op_args.h"

namespace molink::cpu {

/// The layout of a page of one layer: K as [kv_heads][head_dim][block_tokens], so that lanes are
/// positions, then V as [kv_heads][block_tokens][v_width], so that lanes are outputs. v_width is
/// head_dim rounded up to a multiple of 16.
struct KvLayout {
    std::int64_t element_bytes;
    std::int64_t v_width;
    std::int64_t k_bytes;  ///< of all heads
    std::int64_t block_bytes;

    KvLayout(std::int32_t block_tokens, std::int32_t kv_heads, std::int32_t head_dim,
             ElementType type)
        : element_bytes(type == ElementType::f32 ? 4 : 2),
          v_width((head_dim + 15) / 16 * 16),
          k_bytes(std::int64_t{kv_heads} * head_dim * block_tokens * element_bytes),
          block_bytes(
              (k_bytes + std::int64_t{kv_heads} * block_tokens * v_width * element_bytes + 63) /
              64 * 64) {}
    explicit KvLayout(const KvPages& pages)
        : KvLayout(pages.block_tokens, pages.kv_heads, pages.head_dim, pages.type) {}
};

/// Returns the page that holds `position` of `sequence`.
inline std::byte* page_of(const KvPages& pages, const BatchArgs& batch, std::int64_t sequence,
                          std::int64_t position) {
    const std::int64_t at = batch.block_offsets[sequence] + position / pages.block_tokens;
    return static_cast<std::byte*>(pages.base) +
           std::int64_t{batch.block_ids[at]} * pages.block_bytes;
}

}  // namespace molink::cpu
