#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "backend/cpu/packed.h"
#include "backend/cpu/thread_pool.h"
#include "backend/op_args.h"

// Entry points of the SIMD code, one per op; each picks the best target of this machine when first
// called. All promise the same bits on every target (lib/DESIGN.md, Numbers).
namespace molink::cpu {

/// Activations of this backend are float32, whatever an op's arguments could say.
inline const float* floats(const void* values) {
    return static_cast<const float*>(values);
}
inline float* floats(void* values) {
    return static_cast<float*>(values);
}

/// Rows that the widest kernel takes at once.
inline constexpr std::size_t kMaxTileRows = 12;

/// Rows of the kernel that takes `rows` (1 .. kMaxTileRows): the next of 1, 2, 4, 8, 12.
constexpr std::size_t tile_rows(std::size_t rows) {
    return rows <= 2 ? rows : rows <= 4 ? 4 : rows <= 8 ? 8 : kMaxTileRows;
}

/// Pieces of a product: a few per thread, so that a slowed thread takes fewer.
constexpr std::size_t panels_per_chunk(std::size_t panels, int threads) {
    const std::size_t pieces = static_cast<std::size_t>(threads) * 6;
    return panels < pieces ? 1 : panels / pieces;
}

void matmul_float(const MatmulArgs& args, ThreadPool& pool);
void matmul_q8(const MatmulArgs& args, ThreadPool& pool);
std::size_t matmul_float_workspace(std::size_t rows, std::size_t k);
std::size_t matmul_q8_workspace(std::size_t rows, std::size_t k);

/// Up to 4 rows of one sequence that stand next to each other, and some of the KV heads.
struct AttentionPart {
    std::int64_t row = 0;
    std::int32_t rows = 0;
    std::int32_t kv_head = 0;
    std::int32_t kv_heads = 0;
};
/// Attention of these rows with these heads. `pages` laid out as kv_layout.h says.
void attention_part(const AttentionArgs& args, const AttentionPart& part);

void rms_norm_row(const RmsNormArgs& args, std::int64_t row);
void gate_row(const GateArgs& args, std::int64_t row);
void scale_cap(const ScaleCapArgs& args);
void add(const AddArgs& args);
void add_bias_row(const AddBiasArgs& args, std::int64_t row);
void rope_row(const RopeArgs& args, std::int64_t row);
void convert(const ConvertArgs& args);
void argmax_row(const ArgmaxArgs& args, std::int64_t row);

/// Name of the SIMD target in use; empty when this machine has none that fuses multiply and add.
std::string_view simd_target();
/// Names of the usable SIMD targets of this machine, best first.
std::vector<std::string_view> simd_targets();
/// For tests: makes `name` (of simd_targets()) the target of all kernels, empty: the best again.
/// Process-wide. Thread: no op may be under way.
void use_simd_target(std::string_view name);

}  // namespace molink::cpu
