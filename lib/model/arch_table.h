#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "loader/config_file.h"

namespace molink {

/// Checkpoint names of one layer's tensors; an empty name means that the layer has none.
struct LayerTensors {
    std::string attention_norm;
    std::string q, k, v, o;
    std::string q_bias, k_bias, v_bias, o_bias;
    std::string mlp_norm;
    std::string gate, up, down;
    std::string gate_bias, up_bias, down_bias;
};

/// Checkpoint names of what is not in a layer. `head` is the embedding's name when they are tied.
struct OuterTensors {
    std::string embedding;
    std::string final_norm;
    std::string head;
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

/// The architecture that config.json names and the spec it makes of it, checked for what the blocks
/// can execute. Errors: as ConfigFile, unimplemented naming the field.
struct Described {
    const Architecture* architecture = nullptr;
    ModelSpec spec;
};
Result<Described> describe_model(const ConfigFile& config);

/// Refuses a spec that the shared blocks cannot execute. Errors: unimplemented naming the field.
Status check_supported(const ModelSpec& spec);

}  // namespace molink
