#pragma once

#include <cstdint>
#include <vector>

#include "backend/op_args.h"

namespace molink::test {

// Naive versions of a backend's ops: one value after the other, in double. Pointers in the
// arguments are to host memory of float32, whatever types they name, except the table of embed. The
// result is returned as contiguous values; nothing is written through the arguments.

std::vector<double> reference_embed(const EmbedArgs& args);
std::vector<double> reference_rms_norm(const RmsNormArgs& args);
std::vector<double> reference_add(const AddArgs& args);
std::vector<double> reference_add_bias(const AddBiasArgs& args);
std::vector<double> reference_gate(const GateArgs& args);
/// [rows, heads, head_dim]
std::vector<double> reference_rope(const RopeArgs& args);
std::vector<double> reference_scale_cap(const ScaleCapArgs& args);
std::vector<std::int32_t> reference_argmax(const ArgmaxArgs& args);

/// Returns `value` rounded to `type`.
float reference_round(float value, ElementType type);

/// K and V of one sequence, [positions, kv_heads, head_dim], already rounded to the page type.
struct DenseKv {
    std::vector<float> k;
    std::vector<float> v;
};

/// [rows, q_heads, head_dim]. Ignores args.pages.base and the block table.
std::vector<double> reference_attention(const AttentionArgs& args,
                                        const std::vector<DenseKv>& sequences);

/// Plain matrices: x [rows, k], w [n, k]; the result is [rows, n].
struct ReferenceMatmul {
    const float* x = nullptr;
    const float* w = nullptr;
    std::int64_t rows = 0;
    std::int64_t n = 0;
    std::int64_t k = 0;
};
std::vector<double> reference_matmul(const ReferenceMatmul& args);
/// Quantises weights and activations to groups of 32 bytes with a scale (f16 for weights, f32 for
/// activations) before it multiplies.
std::vector<double> reference_matmul_q8(const ReferenceMatmul& args);

}  // namespace molink::test
