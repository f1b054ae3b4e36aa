// Sizes that follow from a model's specification, for partitioner and memory
// plans. They are in the loader module, because they must agree with the weight
// files. No file is read here.
#include <molink/model_spec.h>

#include <algorithm>

#include "tensor/dtype.h"

namespace molink {
namespace {

std::int64_t norm_parameters(const ModelSpec& spec) {
    const std::int64_t one = spec.norm.kind == NormKind::layer ? 2 * spec.hidden : spec.hidden;
    if (spec.residual == ResidualKind::parallel) return one;
    return spec.norm.placement == NormPlacement::before_and_after ? 4 * one : 2 * one;
}

std::int64_t latent_parameters(const ModelSpec& spec, const LatentSpec& latent) {
    const std::int64_t hidden = spec.hidden;
    const std::int64_t heads = spec.attention.q_heads;
    const std::int64_t query_dim = heads * (spec.attention.head_dim + latent.rope_dim);
    const std::int64_t query =
        latent.q_rank > 0 ? hidden * latent.q_rank + latent.q_rank + latent.q_rank * query_dim
                          : hidden * query_dim;
    const std::int64_t down = hidden * (latent.kv_rank + latent.rope_dim) + latent.kv_rank;
    const std::int64_t up = latent.kv_rank * heads * (spec.attention.head_dim + latent.value_dim);
    return query + down + up + heads * latent.value_dim * hidden;
}

std::int64_t attention_parameters(const ModelSpec& spec) {
    const AttentionSpec& attention = spec.attention;
    if (attention.latent) return latent_parameters(spec, *attention.latent);
    const std::int64_t hidden = spec.hidden;
    const std::int64_t query = std::int64_t{attention.q_heads} * attention.head_dim;
    const std::int64_t key = std::int64_t{attention.kv_heads} * attention.head_dim;
    std::int64_t count = hidden * (2 * query + 2 * key);
    count += (attention.q_bias ? query : 0) + (attention.k_bias ? key : 0);
    count += (attention.v_bias ? key : 0) + (attention.o_bias ? hidden : 0);
    return count + (attention.qk_norm ? 2 * std::int64_t{attention.head_dim} : 0);
}

std::int64_t mamba_parameters(const ModelSpec& spec) {
    const MambaSpec& mamba = *spec.mamba;
    const std::int64_t inner = std::int64_t{spec.hidden} * mamba.expand;
    const std::int64_t mixed = inner + 2 * std::int64_t{mamba.state};
    return spec.hidden * (inner + mixed + mamba.heads) + mixed * (mamba.conv + 1) +
           3 * std::int64_t{mamba.heads} + inner + inner * spec.hidden;
}

std::int64_t mlp_parameters(const ModelSpec& spec, std::int64_t ffn) {
    const std::int64_t products = spec.mlp.gated ? 3 : 2;
    const std::int64_t bias = spec.mlp.bias ? (products - 1) * ffn + spec.hidden : 0;
    return products * spec.hidden * ffn + bias;
}

std::int64_t moe_parameters(const ModelSpec& spec, const MoeSpec& moe) {
    const std::int64_t experts = std::int64_t{moe.experts} + moe.shared_experts;
    return experts * mlp_parameters(spec, moe.expert_ffn) + std::int64_t{spec.hidden} * moe.experts;
}

std::int64_t one_layer(const ModelSpec& spec, const LayerSpec& layer) {
    const bool recurrent = layer.mixer == MixerKind::mamba && spec.mamba;
    const std::int64_t mixer = recurrent ? mamba_parameters(spec) : attention_parameters(spec);
    const std::int64_t mlp = layer.moe && spec.mlp.moe ? moe_parameters(spec, *spec.mlp.moe)
                                                       : mlp_parameters(spec, spec.mlp.ffn);
    return norm_parameters(spec) + mixer + mlp;
}

}  // namespace

// Layers may differ. Memory must suffice for each of them, so the largest one counts.
std::int64_t layer_parameters(const ModelSpec& spec) {
    if (spec.layer_specs.empty()) return one_layer(spec, LayerSpec());
    std::int64_t largest = 0;
    for (const LayerSpec& layer : spec.layer_specs)
        largest = std::max(largest, one_layer(spec, layer));
    return largest;
}

std::int64_t layer_parameters(const ModelSpec& spec, std::int32_t layer) {
    if (spec.layer_specs.empty()) return one_layer(spec, LayerSpec());
    return one_layer(spec, spec.layer_specs[static_cast<std::size_t>(layer)]);
}

std::int64_t embedding_parameters(const ModelSpec& spec) {
    return std::int64_t{spec.vocabulary} * spec.hidden;
}

std::int64_t kv_bytes_per_position(const ModelSpec& spec, DataType kv_type) {
    const auto element = static_cast<std::int64_t>(data_type_bytes(kv_type));
    const AttentionSpec& attention = spec.attention;
    if (attention.latent) return (attention.latent->kv_rank + attention.latent->rope_dim) * element;
    return 2 * std::int64_t{attention.kv_heads} * attention.head_dim * element;
}

}  // namespace molink
