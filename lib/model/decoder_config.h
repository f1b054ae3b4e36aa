#pragma once

#include <cstdint>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "loader/config_file.h"
#include "model/arch_table.h"

namespace molink {

/// Returns the spec that config.json describes with the keys of Llama. Errors: those of ConfigFile,
/// unimplemented naming the key.
Result<ModelSpec> decoder_spec(const ConfigFile& config);
/// Return the tensors by their names in Llama. The spec says which biases exist.
LayerTensors decoder_layer_tensors(const ModelSpec& spec, std::int32_t layer);
OuterTensors decoder_outer_tensors(const ModelSpec& spec);

}  // namespace molink
