// The table of architectures, which is generated from the files in arch/, and the check that a spec
// needs only what the sublayers can execute. A spec can describe more than that. Relies on the
// build to write arch_list.inc.
#include "model/arch_table.h"

#include <algorithm>

#include "base/error.h"

namespace molink {

#define MOLINK_ARCHITECTURE(name) const Architecture& architecture_##name();
#include "model/arch_list.inc"
#undef MOLINK_ARCHITECTURE

namespace {

std::vector<const Architecture*> all_architectures() {
    std::vector<const Architecture*> all;
#define MOLINK_ARCHITECTURE(name) all.push_back(&architecture_##name());
#include "model/arch_list.inc"
#undef MOLINK_ARCHITECTURE
    return all;
}

Status unsupported(const ModelSpec& spec, std::string_view field) {
    return make_error(StatusCode::unimplemented,
                      "model '{}' needs {}, but this is not supported yet", spec.architecture,
                      field);
}

Status check_attention(const ModelSpec& spec) {
    const AttentionSpec& attention = spec.attention;
    if (attention.kind != AttentionKind::multi_head) return unsupported(spec, "latent attention");
    if (attention.head_dim > 512) return unsupported(spec, "a head dimension above 512");
    if (spec.position != PositionKind::rope) return unsupported(spec, "positions other than rope");
    if (spec.rope.rotary_dim % 2 != 0) return unsupported(spec, "an odd rotary dimension");
    switch (spec.rope.scaling) {
        case RopeScalingKind::none:
        case RopeScalingKind::linear:
        case RopeScalingKind::llama3: return {};
        case RopeScalingKind::dynamic: return unsupported(spec, "dynamic rope scaling");
        case RopeScalingKind::yarn: return unsupported(spec, "yarn rope scaling");
    }
    return unsupported(spec, "an unknown rope scaling");
}

Status check_model_type(const ConfigFile& config, const Architecture& architecture) {
    const std::vector<std::string_view>& known = architecture.model_types;
    MOLINK_ASSIGN_OR_RETURN(const auto type, config.optional_string("model_type"));
    if (!type || known.empty() || std::find(known.begin(), known.end(), *type) != known.end()) {
        return {};
    }
    return invalid_argument(
        "{}: model_type is '{}', but architectures names {}, whose type is '{}'", config.where(),
        *type, architecture.names.front(), known.front());
}

}  // namespace

Result<const Architecture*> find_architecture(std::string_view name) {
    std::string known;
    for (const Architecture* architecture : all_architectures()) {
        for (std::string_view candidate : architecture->names) {
            if (candidate == name) return architecture;
            known += (known.empty() ? "" : ", ") + std::string(candidate);
        }
    }
    return make_error(StatusCode::unimplemented, "architecture '{}' is unknown; known: {}", name,
                      known);
}

std::vector<TensorRef> present_refs(const LayerTensors& tensors) {
    const AttentionTensors& a = tensors.attention;
    const DenseTensors& d = tensors.dense;
    std::vector<TensorRef> refs;
    for (const TensorRef* ref :
         {&a.norm, &a.q, &a.k, &a.v, &a.o, &a.q_bias, &a.k_bias, &a.v_bias, &a.o_bias, &a.q_norm,
          &a.k_norm, &d.norm, &d.gate, &d.up, &d.down, &d.gate_bias, &d.up_bias, &d.down_bias}) {
        if (!ref->empty()) refs.push_back(*ref);
    }
    return refs;
}

Status check_supported(const ModelSpec& spec) {
    MOLINK_RETURN_IF_ERROR(check_attention(spec));
    if (spec.norm.kind != NormKind::rms) return unsupported(spec, "layer norm");
    if (spec.norm.placement != NormPlacement::before)
        return unsupported(spec, "norms after a block");
    if (spec.norm.unit_offset) return unsupported(spec, "norm weights stored minus one");
    if (spec.residual != ResidualKind::sequential) return unsupported(spec, "parallel residuals");
    if (!spec.mlp.gated) return unsupported(spec, "an MLP without a gate");
    if (spec.mlp.moe) return unsupported(spec, "a mixture of experts");
    if (spec.mamba) return unsupported(spec, "recurrent mixers");
    if (spec.lm_head_bias) return unsupported(spec, "a bias of the LM head");
    for (const LayerSpec& layer : spec.layer_specs) {
        if (layer.mixer != MixerKind::attention || layer.moe) {
            return unsupported(spec, "layers of different kinds");
        }
    }
    return {};
}

Result<Described> describe_model(const ConfigFile& config) {
    MOLINK_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            config.string_list("architectures"));
    if (names.empty()) {
        return invalid_argument("{}: 'architectures' is empty", config.where());
    }
    if (names.size() > 1) {
        return invalid_argument("{}: 'architectures' names {} and {}; one is expected",
                                config.where(), names[0], names[1]);
    }
    if (config.has("quantization_config")) {
        return make_error(StatusCode::unimplemented,
                          "{}: quantization_config is there; quantised checkpoints are not "
                          "supported",
                          config.where());
    }
    Described described;
    MOLINK_ASSIGN_OR_RETURN(described.architecture, find_architecture(names.front()));
    MOLINK_ASSIGN_OR_RETURN(described.spec, described.architecture->make_spec(config));
    described.spec.architecture = names.front();
    MOLINK_RETURN_IF_ERROR(check_model_type(config, *described.architecture));
    MOLINK_RETURN_IF_ERROR(check_supported(described.spec));
    MOLINK_ASSIGN_OR_RETURN(described.warnings, config.disagreements());
    if (described.architecture->warnings == nullptr) return described;
    MOLINK_ASSIGN_OR_RETURN(const auto more, described.architecture->warnings(config));
    described.warnings.insert(described.warnings.end(), more.begin(), more.end());
    return described;
}

}  // namespace molink
