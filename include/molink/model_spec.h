#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <molink/export.h>
#include <molink/types.h>

namespace molink {

enum class NormKind : std::uint8_t { rms, layer };
enum class NormPlacement : std::uint8_t { before, after, before_and_after };
enum class ResidualKind : std::uint8_t { sequential, parallel };
enum class ActivationKind : std::uint8_t { silu, gelu, gelu_tanh, relu, relu_squared };
enum class PositionKind : std::uint8_t { rope, alibi, learned, none };
enum class RopeScalingKind : std::uint8_t { none, linear, dynamic, llama3, yarn };
enum class AttentionKind : std::uint8_t { multi_head, latent };
enum class MixerKind : std::uint8_t { attention, mamba };

/// Rotary position embedding. Field names follow the checkpoints' configuration.
struct RopeSpec {
    double theta = 10000.0;
    std::int32_t rotary_dim = 0;  ///< dimensions of an attention head that rotate; head_dim: all
    bool interleaved = false;     ///< pairs (2i, 2i+1) instead of (i, i + rotary_dim / 2)
    RopeScalingKind scaling = RopeScalingKind::none;
    double factor = 1.0;
    double low_freq_factor = 1.0;       ///< llama3
    double high_freq_factor = 4.0;      ///< llama3
    double beta_fast = 32.0;            ///< yarn
    double beta_slow = 1.0;             ///< yarn
    double attention_factor = 0.0;      ///< yarn; 0: derived from factor
    std::int32_t original_context = 0;  ///< of llama3, yarn, dynamic: context before scaling
};

/// Multi-head latent attention (low-rank queries and keys/values).
struct LatentSpec {
    std::int32_t q_rank = 0;
    std::int32_t kv_rank = 0;
    std::int32_t rope_dim = 0;
    std::int32_t value_dim = 0;
};

struct AttentionSpec {
    AttentionKind kind = AttentionKind::multi_head;
    std::int32_t q_heads = 0;
    std::int32_t kv_heads = 0;  ///< = q_heads: MHA; 1: MQA; between: GQA
    std::int32_t head_dim = 0;
    bool q_bias = false, k_bias = false, v_bias = false, o_bias = false;
    bool qk_norm = false;  ///< norm of each attention head's q and k before rope
    float scale = 0;       ///< factor of q.k; 0: 1/sqrt(head_dim)
    float soft_cap = 0;    ///< c in c * tanh(x / c), applied to scores; 0: off
    std::optional<LatentSpec> latent;
};

struct MoeSpec {
    std::int32_t experts = 0;
    std::int32_t experts_per_token = 0;
    std::int32_t shared_experts = 0;
    std::int32_t expert_ffn = 0;
    bool normalize_weights = false;
};

struct MlpSpec {
    std::int32_t ffn = 0;
    bool gated = true;
    bool bias = false;
    ActivationKind activation = ActivationKind::silu;
    std::optional<MoeSpec> moe;
};

struct NormSpec {
    NormKind kind = NormKind::rms;
    NormPlacement placement = NormPlacement::before;
    float epsilon = 1e-5f;
    bool unit_offset = false;  ///< the stored weight is the real one minus 1
};

/// Recurrent mixer, used instead of attention in some layers.
struct MambaSpec {
    std::int32_t state = 0;
    std::int32_t conv = 0;
    std::int32_t heads = 0;
    std::int32_t expand = 0;
};

struct LayerSpec {
    MixerKind mixer = MixerKind::attention;
    std::int32_t sliding_window = 0;  ///< positions that a token attends to; 0: all
    bool rope = true;                 ///< false in layers without rotary embedding
    bool moe = false;                 ///< MlpSpec::moe applies to this layer
};

/// Description of a model, independent of where its weights are stored. An architecture file makes
/// it from config.json. It holds all that a partitioner, a stage and the weight loader need.
struct ModelSpec {
    std::string architecture;  ///< as in config.json, for example "LlamaForCausalLM"
    std::int32_t hidden = 0;
    std::int32_t layers = 0;
    std::int32_t vocabulary = 0;
    std::int32_t context = 0;  ///< maximum number of positions
    AttentionSpec attention;
    MlpSpec mlp;
    NormSpec norm;
    ResidualKind residual = ResidualKind::sequential;
    PositionKind position = PositionKind::rope;
    RopeSpec rope;
    std::optional<MambaSpec> mamba;
    std::vector<LayerSpec> layer_specs;  ///< [layers]
    bool tied_embeddings = false;
    bool lm_head_bias = false;
    float embedding_scale = 1.0f;
    float residual_scale = 1.0f;
    float logit_scale = 1.0f;
    float logit_soft_cap = 0;              ///< 0: off
    DataType stored_type = DataType::f32;  ///< type of most weights in the checkpoint
    Token bos_token = -1;                  ///< -1: none
    std::vector<Token> eos_tokens;         ///< each of them ends a sequence
};

/// Numbers of parameters: of the largest layer (attention, MLP and norms), of the given layer, and
/// of the embedding.
MOLINK_EXPORT std::int64_t layer_parameters(const ModelSpec& spec);
MOLINK_EXPORT std::int64_t layer_parameters(const ModelSpec& spec, std::int32_t layer);
MOLINK_EXPORT std::int64_t embedding_parameters(const ModelSpec& spec);

/// Bytes of KV cache for one position in one layer with elements of `kv_type`.
MOLINK_EXPORT std::int64_t kv_bytes_per_position(const ModelSpec& spec, DataType kv_type);

}  // namespace molink
