// Attention as a sequence of ops: norm; one product for queries, keys and values, which are then
// side by side in a row; norm and rotation in place; write to pages; attention; output product;
// residual. Relies on the block tables of the batch, which must cover its rows.
#include "model/attention_mixer.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/sublayer_ops.h"

namespace molink {

AttentionMixer::AttentionMixer(const ModelSpec& spec, const LayerSpec& layer)
    : attention_(spec.attention),
      layer_(layer),
      hidden_(spec.hidden),
      rotary_dim_(spec.rope.rotary_dim),
      interleaved_(spec.rope.interleaved),
      epsilon_(spec.norm.epsilon),
      residual_scale_(spec.residual_scale) {}

std::uint64_t AttentionMixer::weight_bytes(const Backend& backend, DataType matrix_type) const {
    const AttentionSpec& a = attention_;
    std::int64_t floats = hidden_;
    if (a.q_bias || a.k_bias || a.v_bias) floats += row_width();
    if (a.o_bias) floats += hidden_;
    if (a.qk_norm) floats += 2 * std::int64_t{a.head_dim};
    return backend.packed_bytes(row_width(), hidden_, matrix_type) +
           backend.packed_bytes(hidden_, q_width(), matrix_type) +
           static_cast<std::uint64_t>(floats) * sizeof(float);
}

AttentionMixer::Arrays AttentionMixer::arrays(ElementType activations, std::int64_t rows) const {
    ScratchLayout layout(activations);
    Arrays arrays{};
    arrays.normed = layout.add_activations(rows, hidden_);
    arrays.qkv = layout.add_activations(rows, row_width());
    arrays.attended = layout.add_activations(rows, q_width());
    arrays.projected = layout.add_activations(rows, hidden_);
    arrays.workspace = layout.bytes();
    return arrays;
}

std::size_t AttentionMixer::scratch_bytes(const Backend& backend, std::int64_t rows) const {
    return arrays(backend.traits().activations, rows).workspace +
           backend.matmul_workspace_bytes(rows, std::max(hidden_, q_width()));
}

Status AttentionMixer::load(WeightLoader& loader, const LayerTensors& tensors) {
    const AttentionTensors& t = tensors.attention;
    const std::int64_t q = q_width();
    const std::int64_t kv = kv_width();
    const std::int64_t head_dim = attention_.head_dim;
    MOLINK_RETURN_IF_ERROR(loader.vectors({{t.norm, hidden_}}, norm_));
    MOLINK_RETURN_IF_ERROR(loader.matrix({{t.q, q}, {t.k, kv}, {t.v, kv}}, hidden_, qkv_));
    MOLINK_RETURN_IF_ERROR(
        loader.vectors({{t.q_bias, q}, {t.k_bias, kv}, {t.v_bias, kv}}, qkv_bias_));
    MOLINK_RETURN_IF_ERROR(loader.vectors({{t.q_norm, head_dim}}, q_norm_));
    MOLINK_RETURN_IF_ERROR(loader.vectors({{t.k_norm, head_dim}}, k_norm_));
    MOLINK_RETURN_IF_ERROR(loader.matrix({{t.o, hidden_}}, q, o_));
    return loader.vectors({{t.o_bias, hidden_}}, o_bias_);
}

std::size_t AttentionMixer::cache_block_bytes(const Backend& backend,
                                              const CacheFormat& format) const {
    return backend.kv_block_bytes(format.block_tokens, attention_.kv_heads, attention_.head_dim,
                                  format.type);
}

KvPages AttentionMixer::cache_pages(const Backend& backend, const CacheFormat& format,
                                    void* base) const {
    KvPages pages;
    pages.base = base;
    pages.block_bytes = static_cast<std::int64_t>(cache_block_bytes(backend, format));
    pages.block_tokens = format.block_tokens;
    pages.kv_heads = attention_.kv_heads;
    pages.head_dim = attention_.head_dim;
    pages.type = format.type;
    return pages;
}

/// Normalises each attention head of queries and keys separately. Call it before rotate().
void AttentionMixer::normalise_heads(const SublayerRun& run, std::byte* qkv) const {
    RmsNormArgs args;
    args.rows = run.batch.rows;
    args.width = attention_.head_dim;
    args.x_stride = args.out_stride = row_width();
    args.epsilon = epsilon_;
    args.x_type = args.out_type = run.activations;
    args.groups = attention_.q_heads;
    args.weight = weights_of(q_norm_);
    args.x = args.out = qkv;
    run.stream.rms_norm(args);
    args.groups = attention_.kv_heads;
    args.weight = weights_of(k_norm_);
    args.x = args.out = qkv + q_width() * element_bytes(run.activations);
    run.stream.rms_norm(args);
}

void AttentionMixer::rotate(const SublayerRun& run, std::byte* qkv) const {
    RopeArgs rope;
    rope.x = qkv;
    rope.x_type = run.activations;
    rope.positions = run.batch.positions;
    rope.cos = run.cos;
    rope.sin = run.sin;
    rope.rows = run.batch.rows;
    rope.heads = attention_.q_heads + attention_.kv_heads;  // queries and keys are side by side
    rope.head_dim = attention_.head_dim;
    rope.rotary_dim = rotary_dim_;
    rope.row_stride = row_width();
    rope.interleaved = interleaved_;
    run.stream.rope(rope);
}

void AttentionMixer::attend(const SublayerRun& run, const KvPages& pages, const std::byte* qkv,
                            void* out) const {
    AttentionArgs args;
    args.pages = pages;
    args.batch = run.batch;
    args.q = qkv;
    args.out = out;
    args.q_stride = row_width();
    args.q_heads = attention_.q_heads;
    args.scale = attention_.scale != 0 ? attention_.scale
                                       : 1.0f / std::sqrt(static_cast<float>(attention_.head_dim));
    args.soft_cap = attention_.soft_cap;
    args.window = layer_.sliding_window;
    args.type = run.activations;
    run.stream.attention(args);
}

void AttentionMixer::run(const SublayerRun& run, const KvPages& pages) {
    const Arrays at = arrays(run.activations, run.max_rows);
    const std::int64_t rows = run.batch.rows;
    const std::int64_t element = element_bytes(run.activations);
    std::byte* const normed = run.scratch + at.normed;
    std::byte* const qkv = run.scratch + at.qkv;
    std::byte* const attended = run.scratch + at.attended;
    std::byte* const projected = run.scratch + at.projected;
    void* const workspace = run.scratch + at.workspace;
    enqueue_norm(run.stream, run.hidden, weights_of(norm_), rows, hidden_, epsilon_, normed,
                 run.activations);
    enqueue_product(run.stream, {*qkv_, qkv_bias_.get(), workspace}, normed, rows, qkv,
                    run.activations);
    if (q_norm_ != nullptr) normalise_heads(run, qkv);
    if (layer_.rope) rotate(run, qkv);
    const std::byte* const keys = qkv + q_width() * element;
    run.stream.kv_write({pages, run.batch, keys, keys + kv_width() * element, row_width(),
                         row_width(), run.activations});
    attend(run, pages, qkv, attended);
    enqueue_product(run.stream, {*o_, o_bias_.get(), workspace}, attended, rows, projected,
                    run.activations);
    run.stream.add({run.hidden, projected, rows * hidden_, residual_scale_, run.activations});
}

}  // namespace molink
