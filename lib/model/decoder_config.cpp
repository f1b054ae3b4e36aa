// Reads the configuration of most decoders since Llama 2: an RMS norm before each sublayer, rotary
// positions (with linear or Llama 3.1 scaling), grouped-query attention, a gated SiLU MLP. Accepts
// config.json as transformers wrote it before version 5 (rope_theta, rope_scaling, torch_dtype) and
// since (rope_parameters, dtype). Architecture files start from this spec and change what differs.
#include "model/decoder_config.h"

#include <array>
#include <optional>

#include "base/error.h"
#include "base/limits.h"
#include "loader/json_parse.h"

namespace molink {
namespace {

constexpr std::array<std::string_view, 2> kRopeObjects = {"rope_scaling", "rope_parameters"};

std::int32_t narrow(std::int64_t value) {
    return static_cast<std::int32_t>(value);
}

/// Returns the text of two names of one key, of which at least one is missing or both are equal.
Result<std::optional<std::string>> one_of_two_keys(const ConfigObject& object, std::string_view key,
                                                   std::string_view older) {
    MOLINK_ASSIGN_OR_RETURN(const auto value, object.optional_string(key));
    MOLINK_ASSIGN_OR_RETURN(const auto old_value, object.optional_string(older));
    if (value && old_value && *value != *old_value) {
        return invalid_argument("{}: {} is '{}', but {} is '{}'", object.where(), key, *value,
                                older, *old_value);
    }
    return value ? value : old_value;
}

Result<RopeScalingKind> scaling_kind(const ConfigObject& rope) {
    MOLINK_ASSIGN_OR_RETURN(const auto kind, one_of_two_keys(rope, "rope_type", "type"));
    if (!kind || *kind == "default") return RopeScalingKind::none;
    if (*kind == "linear") return RopeScalingKind::linear;
    if (*kind == "dynamic") return RopeScalingKind::dynamic;
    if (*kind == "llama3") return RopeScalingKind::llama3;
    if (*kind == "yarn") return RopeScalingKind::yarn;
    return make_error(
        StatusCode::unimplemented,
        "{}: rope type '{}' is unknown; known: default, linear, dynamic, llama3, yarn",
        rope.where(), *kind);
}

Status read_scaling(const ConfigObject& from, const ModelSpec& spec, RopeSpec& rope) {
    MOLINK_ASSIGN_OR_RETURN(rope.scaling, scaling_kind(from));
    MOLINK_ASSIGN_OR_RETURN(const auto theta, from.optional_number("rope_theta", 1e-3, 1e12));
    if (theta) rope.theta = *theta;
    if (rope.scaling == RopeScalingKind::none) return {};
    MOLINK_ASSIGN_OR_RETURN(rope.factor, from.number("factor", 1.0, 1e6));
    if (rope.scaling != RopeScalingKind::llama3) return {};
    MOLINK_ASSIGN_OR_RETURN(rope.low_freq_factor, from.number("low_freq_factor", 1e-3, 1e6));
    MOLINK_ASSIGN_OR_RETURN(rope.high_freq_factor, from.number("high_freq_factor", 1e-3, 1e6));
    if (rope.high_freq_factor <= rope.low_freq_factor) {
        return invalid_argument("{}: high_freq_factor {} must be above low_freq_factor {}",
                                from.where(), rope.high_freq_factor, rope.low_freq_factor);
    }
    MOLINK_ASSIGN_OR_RETURN(
        const auto original,
        from.optional_int64("original_max_position_embeddings", 1, limits::kMaxContext));
    rope.original_context = original ? narrow(*original) : spec.context;
    return {};
}

Status read_rope(const ConfigFile& config, ModelSpec& spec) {
    spec.rope.rotary_dim = spec.attention.head_dim;
    MOLINK_ASSIGN_OR_RETURN(const auto theta, config.optional_number("rope_theta", 1e-3, 1e12));
    if (theta) spec.rope.theta = *theta;
    // The order is that of transformers 5; decoder_warnings() tells when both are there.
    for (std::string_view key : kRopeObjects) {
        MOLINK_ASSIGN_OR_RETURN(const auto object, config.optional_object(key));
        if (object) return read_scaling(*object, spec, spec.rope);
    }
    return {};
}

Status read_attention(const ConfigFile& config, ModelSpec& spec) {
    AttentionSpec& attention = spec.attention;
    MOLINK_ASSIGN_OR_RETURN(const std::int64_t heads,
                            config.int64("num_attention_heads", 1, limits::kMaxHeads));
    MOLINK_ASSIGN_OR_RETURN(const auto kv_heads,
                            config.optional_int64("num_key_value_heads", 1, limits::kMaxHeads));
    MOLINK_ASSIGN_OR_RETURN(const auto head_dim, config.optional_int64("head_dim", 2, 8192));
    attention.q_heads = narrow(heads);
    attention.kv_heads = narrow(kv_heads.value_or(heads));
    if (attention.q_heads % attention.kv_heads != 0) {
        return invalid_argument(
            "{}: num_attention_heads {} is not a multiple of num_key_value_heads {}",
            config.where(), attention.q_heads, attention.kv_heads);
    }
    if (!head_dim && spec.hidden % attention.q_heads != 0) {
        return invalid_argument("{}: hidden_size {} is not a multiple of num_attention_heads {}",
                                config.where(), spec.hidden, attention.q_heads);
    }
    attention.head_dim = head_dim ? narrow(*head_dim) : spec.hidden / attention.q_heads;
    if (attention.head_dim % 2 != 0) {
        return invalid_argument("{}: the head dimension {} is odd; it must be even", config.where(),
                                attention.head_dim);
    }
    MOLINK_ASSIGN_OR_RETURN(const auto bias, config.optional_boolean("attention_bias"));
    attention.q_bias = attention.k_bias = attention.v_bias = attention.o_bias =
        bias.value_or(false);
    return {};
}

Status read_mlp(const ConfigFile& config, ModelSpec& spec) {
    MOLINK_ASSIGN_OR_RETURN(const std::int64_t ffn,
                            config.int64("intermediate_size", 1, limits::kMaxFeedForward));
    spec.mlp.ffn = narrow(ffn);
    MOLINK_ASSIGN_OR_RETURN(const auto bias, config.optional_boolean("mlp_bias"));
    spec.mlp.bias = bias.value_or(false);
    MOLINK_ASSIGN_OR_RETURN(const auto activation, config.optional_string("hidden_act"));
    if (activation && *activation != "silu" && *activation != "swish") {
        return make_error(StatusCode::unimplemented,
                          "{}: hidden_act '{}' is unknown; known: silu, swish", config.where(),
                          *activation);
    }
    return {};
}

Status read_types(const ConfigFile& config, ModelSpec& spec) {
    MOLINK_ASSIGN_OR_RETURN(const auto type, one_of_two_keys(config, "dtype", "torch_dtype"));
    if (!type || *type == "float32") {
        spec.stored_type = DataType::f32;
    } else if (*type == "bfloat16") {
        spec.stored_type = DataType::bf16;
    } else if (*type == "float16") {
        spec.stored_type = DataType::f16;
    } else {
        return make_error(StatusCode::unimplemented,
                          "{}: weight type '{}' is unknown; known: float32, bfloat16, float16",
                          config.where(), *type);
    }
    MOLINK_ASSIGN_OR_RETURN(const auto tied, config.optional_boolean("tie_word_embeddings"));
    spec.tied_embeddings = tied.value_or(false);
    MOLINK_ASSIGN_OR_RETURN(spec.bos_token, config.bos_token(spec.vocabulary));
    MOLINK_ASSIGN_OR_RETURN(spec.eos_tokens, config.eos_tokens(spec.vocabulary));
    return {};
}

}  // namespace

Result<ModelSpec> decoder_spec(const ConfigFile& config) {
    ModelSpec spec;
    MOLINK_ASSIGN_OR_RETURN(const std::int64_t hidden,
                            config.int64("hidden_size", 1, limits::kMaxHidden));
    MOLINK_ASSIGN_OR_RETURN(const std::int64_t layers,
                            config.int64("num_hidden_layers", 1, limits::kMaxLayers));
    MOLINK_ASSIGN_OR_RETURN(const std::int64_t vocabulary,
                            config.int64("vocab_size", 1, limits::kMaxVocabulary));
    MOLINK_ASSIGN_OR_RETURN(const std::int64_t context,
                            config.int64("max_position_embeddings", 1, limits::kMaxContext));
    MOLINK_ASSIGN_OR_RETURN(const double epsilon, config.number("rms_norm_eps", 1e-12, 1.0));
    spec.hidden = narrow(hidden);
    spec.layers = narrow(layers);
    spec.vocabulary = narrow(vocabulary);
    spec.context = narrow(context);
    spec.norm.epsilon = static_cast<float>(epsilon);
    spec.layer_specs.assign(static_cast<std::size_t>(layers), LayerSpec());
    MOLINK_RETURN_IF_ERROR(read_attention(config, spec));
    MOLINK_RETURN_IF_ERROR(read_mlp(config, spec));
    MOLINK_RETURN_IF_ERROR(read_rope(config, spec));
    MOLINK_RETURN_IF_ERROR(read_types(config, spec));
    return spec;
}

Result<std::vector<std::string>> decoder_warnings(const ConfigFile& config) {
    std::vector<std::string> warnings;
    MOLINK_ASSIGN_OR_RETURN(const auto first, config.optional_object(kRopeObjects[0]));
    MOLINK_ASSIGN_OR_RETURN(const auto second, config.optional_object(kRopeObjects[1]));
    if (first && second && first->canonical_text() != second->canonical_text()) {
        warnings.push_back(fmt::format("{} is {}, but {} is {}; the former is used", first->where(),
                                       printable(first->canonical_text()), kRopeObjects[1],
                                       printable(second->canonical_text())));
    }
    const auto& used = first ? first : second;
    if (!used) return warnings;
    MOLINK_ASSIGN_OR_RETURN(const auto outer, config.optional_number("rope_theta"));
    MOLINK_ASSIGN_OR_RETURN(const auto inner, used->optional_number("rope_theta"));
    if (outer && inner && *outer != *inner) {
        warnings.push_back(fmt::format("{}: rope_theta is {}, but {} in {}; the latter is used",
                                       config.where(), *outer, *inner, used->where()));
    }
    return warnings;
}

LayerTensors decoder_layer_tensors(const ModelSpec& spec, std::int32_t layer) {
    const std::string base = fmt::format("model.layers.{}.", layer);
    const auto bias = [&](bool there, std::string_view name) {
        return there ? TensorRef(base + std::string(name) + ".bias") : TensorRef();
    };
    LayerTensors names;
    names.attention.norm = TensorRef(base + "input_layernorm.weight");
    names.attention.q = TensorRef(base + "self_attn.q_proj.weight");
    names.attention.k = TensorRef(base + "self_attn.k_proj.weight");
    names.attention.v = TensorRef(base + "self_attn.v_proj.weight");
    names.attention.o = TensorRef(base + "self_attn.o_proj.weight");
    names.attention.q_bias = bias(spec.attention.q_bias, "self_attn.q_proj");
    names.attention.k_bias = bias(spec.attention.k_bias, "self_attn.k_proj");
    names.attention.v_bias = bias(spec.attention.v_bias, "self_attn.v_proj");
    names.attention.o_bias = bias(spec.attention.o_bias, "self_attn.o_proj");
    names.dense.norm = TensorRef(base + "post_attention_layernorm.weight");
    names.dense.gate = TensorRef(base + "mlp.gate_proj.weight");
    names.dense.up = TensorRef(base + "mlp.up_proj.weight");
    names.dense.down = TensorRef(base + "mlp.down_proj.weight");
    names.dense.gate_bias = bias(spec.mlp.bias, "mlp.gate_proj");
    names.dense.up_bias = bias(spec.mlp.bias, "mlp.up_proj");
    names.dense.down_bias = bias(spec.mlp.bias, "mlp.down_proj");
    return names;
}

OuterTensors decoder_outer_tensors(const ModelSpec& spec) {
    OuterTensors names;
    names.embedding = TensorRef("model.embed_tokens.weight");
    names.final_norm = TensorRef("model.norm.weight");
    names.lm_head = spec.tied_embeddings ? names.embedding : TensorRef("lm_head.weight");
    return names;
}

}  // namespace molink
