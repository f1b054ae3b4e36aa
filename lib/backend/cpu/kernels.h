#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "backend/cpu/packed.h"
#include "backend/cpu/thread_pool.h"
#include "backend/op_args.h"

// Entry points of the SIMD code, one per op. Each chooses the best target of this machine when it
// is first called. All give the same bits on every target (lib/DESIGN.md, Numbers).
namespace molink::cpu {

/// Casts the untyped values of an op. Activations of this backend are always float32.
inline const float* floats(const void* values) {
    return static_cast<const float*>(values);
}
inline float* floats(void* values) {
    return static_cast<float*>(values);
}

/// Rows of the largest tile of a product.
inline constexpr std::size_t kMaxTileRows = 12;

/// Returns the rows of the tile that is used for `rows` rows (1 to kMaxTileRows): `rows` rounded up
/// to 1, 2, 4, 8 or 12.
constexpr std::size_t tile_rows(std::size_t rows) {
    return rows <= 2 ? rows : rows <= 4 ? 4 : rows <= 8 ? 8 : kMaxTileRows;
}

/// Returns the panels of one piece of a product. There are about 6 pieces per thread, so that a
/// thread that is slowed down takes fewer.
constexpr std::size_t panels_per_chunk(std::size_t panels, int threads) {
    const std::size_t pieces = static_cast<std::size_t>(threads) * 6;
    return panels < pieces ? 1 : panels / pieces;
}

void matmul_float(const MatmulArgs& args, ThreadPool& pool);
void matmul_q8(const MatmulArgs& args, ThreadPool& pool);
/// Return the bytes of workspace for up to `rows` rows of width k.
std::size_t matmul_float_workspace(std::size_t rows, std::size_t k);
std::size_t matmul_q8_workspace(std::size_t rows, std::size_t k);

/// Adjacent rows of one sequence, up to 4, and a range of KV heads.
struct AttentionPart {
    std::int64_t row = 0;
    std::int32_t rows = 0;
    std::int32_t kv_head = 0;
    std::int32_t kv_heads = 0;
};
/// Computes attention for the rows and KV heads of `part`. The pages have the layout of
/// kv_layout.h.
void attention_part(const AttentionArgs& args, const AttentionPart& part);

void rms_norm_row(const RmsNormArgs& args, std::int64_t row);
void gate_row(const GateArgs& args, std::int64_t row);
void scale_cap(const ScaleCapArgs& args);
void add(const AddArgs& args);
void add_bias_row(const AddBiasArgs& args, std::int64_t row);
void rope_row(const RopeArgs& args, std::int64_t row);
void convert(const ConvertArgs& args);
void argmax_row(const ArgmaxArgs& args, std::int64_t row);

/// Returns the name of the SIMD target in use. Empty: this machine has no fused multiply-add.
std::string_view simd_target();
/// Returns the names of the usable SIMD targets of this machine, best first.
std::vector<std::string_view> simd_targets();
/// For tests: selects `name`, one of simd_targets(), for all kernels. An empty name selects the
/// best target again. Process-wide. Thread: any, while no op is under way.
void use_simd_target(std::string_view name);

}  // namespace molink::cpu
