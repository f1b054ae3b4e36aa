#pragma once

#include <cstdint>

// Plain argument structs, one per op, shared with device code: C++17, raw pointers, shapes in
// brackets, row-major, no ownership. Every pointer is to device memory of the backend whose stream
// gets the call; the host must not follow it. No op allocates.
//
// The residual, logits and the weights of norms are float32. Activations between ops have the
// element type that the arguments name: BackendTraits::activations, or float32.
namespace molink {

/// Element type of activations, of a KV cache or of values to convert.
enum class ElementType : std::uint8_t { f32, f16, bf16 };

constexpr std::int64_t element_bytes(ElementType type) {
    return type == ElementType::f32 ? 4 : 2;
}

/// out[r, :] = table[ids[r], :] * scale
struct EmbedArgs {
    const void* table = nullptr;  ///< [vocabulary, hidden] of table_type
    ElementType table_type = ElementType::f32;
    const std::int32_t* ids = nullptr;  ///< [rows], each in [0, vocabulary)
    float* out = nullptr;               ///< [rows, hidden]
    std::int64_t rows = 0;
    std::int64_t hidden = 0;
    float scale = 1.0f;
};

/// out[r, g, :] = x[r, g, :] / sqrt(mean(x[r, g, :]^2) + epsilon) * weight (Zhang and Sennrich
/// 2019). Sums over 16 virtual lanes. A row has one group, or one group for each attention head if
/// heads are normalised separately. A mean that is not finite makes the group NaN.
struct RmsNormArgs {
    const void* x = nullptr;        ///< [rows, groups, width], rows x_stride apart
    const float* weight = nullptr;  ///< [width]
    void* out = nullptr;            ///< [rows, groups, width], rows out_stride apart; may be x
    std::int64_t rows = 0;
    std::int64_t groups = 1;
    std::int64_t width = 0;
    std::int64_t x_stride = 0;    ///< elements
    std::int64_t out_stride = 0;  ///< elements
    float epsilon = 1e-5f;
    ElementType x_type = ElementType::f32;
    ElementType out_type = ElementType::f32;
};

/// x[r, :] += bias
struct AddBiasArgs {
    void* x = nullptr;            ///< [rows, width]
    const float* bias = nullptr;  ///< [width]
    std::int64_t rows = 0;
    std::int64_t width = 0;
    ElementType x_type = ElementType::f32;
};

/// x[i] += y[i] * scale
struct AddArgs {
    float* x = nullptr;       ///< [count]
    const void* y = nullptr;  ///< [count]
    std::int64_t count = 0;
    float scale = 1.0f;
    ElementType y_type = ElementType::f32;
};

enum class GateKind : std::uint8_t { silu, gelu, gelu_tanh, relu, relu_squared };

/// out[r, i] = act(gate[r, i]) * up[r, i]; up == nullptr: act(gate) alone.
struct GateArgs {
    const void* gate = nullptr;  ///< [rows, width], rows gate_stride apart
    const void* up = nullptr;    ///< [rows, width], rows up_stride apart, or nullptr
    void* out = nullptr;         ///< [rows, width] contiguous
    std::int64_t rows = 0;
    std::int64_t width = 0;
    std::int64_t gate_stride = 0;  ///< elements
    std::int64_t up_stride = 0;    ///< elements
    GateKind kind = GateKind::silu;
    ElementType type = ElementType::f32;  ///< of gate, up and out
};

/// Rotates the first rotary_dim entries of every attention head in place (Su et al. 2021).
struct RopeArgs {
    void* x = nullptr;                        ///< [rows, heads, head_dim], rows row_stride apart
    const std::int32_t* positions = nullptr;  ///< [rows]
    const float* cos = nullptr;               ///< [context, rotary_dim / 2]
    const float* sin = nullptr;               ///< [context, rotary_dim / 2]
    std::int64_t rows = 0;
    std::int64_t heads = 0;
    std::int64_t head_dim = 0;
    std::int64_t rotary_dim = 0;
    std::int64_t row_stride = 0;  ///< elements
    bool interleaved = false;
    ElementType x_type = ElementType::f32;
};

/// One layer's pages of KV cache (Kwon et al. 2023). A page holds block_tokens positions of all KV
/// heads. The backend decides the layout inside a page (Backend::kv_block_bytes).
struct KvPages {
    void* base = nullptr;  ///< first byte of page 0 of this layer
    std::int64_t block_bytes = 0;
    std::int32_t block_tokens = 0;  ///< a multiple of 16
    std::int32_t kv_heads = 0;
    std::int32_t head_dim = 0;
    ElementType type = ElementType::f32;
};

/// Positions and blocks of the rows of a ragged batch. Row r belongs to sequence sequence_of_row[r]
/// at absolute position positions[r]. The blocks of sequence s are block_ids[block_offsets[s] ..
/// block_offsets[s + 1]); its block k holds positions [k * block_tokens, (k + 1) * block_tokens).
/// The host launches ops from the plain fields.
struct BatchArgs {
    const std::int32_t* positions = nullptr;        ///< [rows]
    const std::int32_t* sequence_of_row = nullptr;  ///< [rows], non-decreasing
    const std::int64_t* block_offsets = nullptr;    ///< [sequences + 1]
    const std::uint32_t* block_ids = nullptr;       ///< [block_offsets[sequences]]
    std::int64_t rows = 0;
    std::int64_t sequences = 0;
    std::int64_t longest = 0;  ///< 1 + the largest of positions

    /// Returns whether every row belongs to a sequence of its own.
    constexpr bool decode() const { return rows == sequences; }
};

/// Rounds k and v to the type of the pages and stores them at the position of each row. A key that
/// is infinite then is stored as NaN.
struct KvWriteArgs {
    KvPages pages;
    BatchArgs batch;
    const void* k = nullptr;              ///< [rows, kv_heads, head_dim], rows k_stride apart
    const void* v = nullptr;              ///< [rows, kv_heads, head_dim], rows v_stride apart
    std::int64_t k_stride = 0;            ///< elements
    std::int64_t v_stride = 0;            ///< elements
    ElementType type = ElementType::f32;  ///< of k and v
};

/// Causal attention over the pages, which already hold the rows of this batch. Row r attends to
/// positions max(0, positions[r] - window + 1) .. positions[r]. Computed by tiles of 16 absolute
/// positions, in order, so that the bits do not depend on the batch, the slices or the block size.
struct AttentionArgs {
    KvPages pages;
    BatchArgs batch;
    const void* q = nullptr;    ///< [rows, q_heads, head_dim], rows q_stride apart
    void* out = nullptr;        ///< [rows, q_heads, head_dim] contiguous
    std::int64_t q_stride = 0;  ///< elements
    std::int32_t q_heads = 0;   ///< a multiple of pages.kv_heads
    float scale = 1.0f;
    float soft_cap = 0;                   ///< 0: off
    std::int32_t window = 0;              ///< 0: all
    ElementType type = ElementType::f32;  ///< of q and out
};

/// out[r, :] = x[wanted_rows[r], :]
struct GatherRowsArgs {
    const float* x = nullptr;                   ///< [any, width]
    const std::int32_t* wanted_rows = nullptr;  ///< [rows]
    float* out = nullptr;                       ///< [rows, width]
    std::int64_t rows = 0;
    std::int64_t width = 0;
};

/// Converts `count` values between element types. Rounds to nearest even for f16 and bf16.
struct ConvertArgs {
    const void* in = nullptr;
    void* out = nullptr;
    ElementType in_type = ElementType::f32;
    ElementType out_type = ElementType::f32;
    std::int64_t count = 0;
};

/// x[i] = cap * tanh(x[i] * scale / cap); cap 0: x[i] *= scale.
struct ScaleCapArgs {
    float* x = nullptr;  ///< [count]
    std::int64_t count = 0;
    float scale = 1.0f;
    float cap = 0;
};

/// out[r] = index of the largest x[r, :], the lowest index among equals; -1 when a value of the row
/// is NaN or infinite.
struct ArgmaxArgs {
    const float* x = nullptr;     ///< [rows, width]
    std::int32_t* out = nullptr;  ///< [rows]
    std::int64_t rows = 0;
    std::int64_t width = 0;
};

class PackedMatrix;

/// y[r, n] = sum_k x[r, k] * w[n, k]. Each output is one chain of fused multiply-adds, over k in
/// order (float types) or over scaled group sums in group order (Q8_0), for any number of rows and
/// threads and any SIMD width.
struct MatmulArgs {
    const PackedMatrix* weight = nullptr;  ///< [n, k], packed by this backend
    const void* x = nullptr;               ///< [rows, k], rows x_stride apart
    void* y = nullptr;                     ///< [rows, n], rows y_stride apart
    std::int64_t rows = 0;
    std::int64_t x_stride = 0;  ///< elements
    std::int64_t y_stride = 0;  ///< elements
    void* workspace = nullptr;  ///< Backend::matmul_workspace_bytes(rows, k) bytes, 64-byte aligned
    ElementType x_type = ElementType::f32;
    ElementType y_type = ElementType::f32;
};

}  // namespace molink
