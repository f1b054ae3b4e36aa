#pragma once

#include <string_view>
#include <vector>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "loader/config_file.h"
#include "loader/weight_source.h"

namespace molink {

/// Where an attention mixer's weights are; empty: the layer has none.
struct AttentionTensors {
    TensorRef norm;  ///< in front of the mixer
    TensorRef q, k, v, o;
    TensorRef q_bias, k_bias, v_bias, o_bias;
    TensorRef q_norm, k_norm;  ///< of each head, [head_dim]; both or none
};

/// The same of a dense feed-forward.
struct DenseTensors {
    TensorRef norm;  ///< in front of the feed-forward
    TensorRef gate, up, down;
    TensorRef gate_bias, up_bias, down_bias;
};

/// Weights of one layer: of the mixer and the feed-forward that its LayerSpec names.
struct LayerTensors {
    AttentionTensors attention;
    DenseTensors dense;
};

/// What is not in a layer. `lm_head` is the embedding's tensor when they are tied.
struct OuterTensors {
    TensorRef embedding;
    TensorRef final_norm;
    TensorRef lm_head;
};

/// What an architecture file states: the names it answers to in config.json, how the configuration
/// maps to the spec, and which tensors feed it.
struct Architecture {
    std::vector<std::string_view> names;
    Result<ModelSpec> (*make_spec)(const ConfigFile& config);
    LayerTensors (*layer_tensors)(const ModelSpec& spec, std::int32_t layer);
    OuterTensors (*outer_tensors)(const ModelSpec& spec);
};

/// The architecture of that name. Errors: unimplemented, listing the known ones.
Result<const Architecture*> find_architecture(std::string_view name);

/// The architecture that config.json names and the spec it makes of it, checked for what the
/// sublayers can execute. Errors: as ConfigFile, unimplemented naming the field.
struct Described {
    const Architecture* architecture = nullptr;
    ModelSpec spec;
};
Result<Described> describe_model(const ConfigFile& config);

/// Refuses a spec that no sublayer can execute. Errors: unimplemented naming the field.
Status check_supported(const ModelSpec& spec);

}  // namespace molink
