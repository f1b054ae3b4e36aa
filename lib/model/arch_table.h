#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "loader/config_file.h"
#include "loader/weight_source.h"

namespace molink {

/// The tensors of an attention mixer. An empty reference: the layer has no such weight.
struct AttentionTensors {
    TensorRef norm;  ///< before the mixer
    TensorRef q, k, v, o;
    TensorRef q_bias, k_bias, v_bias, o_bias;
    TensorRef q_norm, k_norm;  ///< of each head, [head_dim]; both or none
};

/// The tensors of a dense feed-forward. An empty reference: the layer has no such weight.
struct DenseTensors {
    TensorRef norm;  ///< before the feed-forward
    TensorRef gate, up, down;
    TensorRef gate_bias, up_bias, down_bias;
};

/// The tensors of one layer, for the mixer and the feed-forward that its LayerSpec names.
struct LayerTensors {
    AttentionTensors attention;
    DenseTensors dense;
};

/// Returns the references of a layer's tensors that are not empty.
std::vector<TensorRef> present_refs(const LayerTensors& tensors);

/// The tensors outside the layers. `lm_head` is the tensor of the embedding when they are tied.
struct OuterTensors {
    TensorRef embedding;
    TensorRef final_norm;
    TensorRef lm_head;
};

/// The contents of an architecture file: its names in config.json, the function that makes a spec
/// from the configuration, and the functions that name the tensors.
struct Architecture {
    std::vector<std::string_view> names;
    Result<ModelSpec> (*make_spec)(const ConfigFile& config);
    LayerTensors (*layer_tensors)(const ModelSpec& spec, std::int32_t layer);
    OuterTensors (*outer_tensors)(const ModelSpec& spec);
    /// Values of "model_type" that go with the names. Empty: any.
    std::vector<std::string_view> model_types = {};
    /// Returns what config.json states twice. Null: nothing is looked for.
    Result<std::vector<std::string>> (*warnings)(const ConfigFile& config) = nullptr;
};

/// Returns the architecture that has this name. Errors: unimplemented, listing the known names.
Result<const Architecture*> find_architecture(std::string_view name);

/// An architecture and the spec that it makes from a config.json.
struct Described {
    const Architecture* architecture = nullptr;
    ModelSpec spec;
    /// What the files say twice with different values, and which one is used.
    std::vector<std::string> warnings;
};
/// Finds the architecture that config.json names, makes the spec and checks it with
/// check_supported(). Errors: those of ConfigFile, unimplemented naming the field,
/// invalid_argument when architecture and model type contradict each other.
Result<Described> describe_model(const ConfigFile& config);

/// Refuses a spec that the sublayers cannot execute. Errors: unimplemented naming the field.
Status check_supported(const ModelSpec& spec);

}  // namespace molink
