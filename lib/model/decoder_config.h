#pragma once

#include <string>
#include <vector>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "loader/config_file.h"
#include "model/arch_table.h"

namespace molink {

/// Returns the spec that config.json describes with the keys of Llama. Errors: those of ConfigFile,
/// unimplemented naming the key.
Result<ModelSpec> decoder_spec(const ConfigFile& config);
/// Returns a warning for each setting that config.json states twice with different values, of which
/// decoder_spec() uses one. Errors: those of ConfigFile.
Result<std::vector<std::string>> decoder_warnings(const ConfigFile& config);
/// Return the tensors by their names in Llama. The spec says which biases exist.
LayerTensors decoder_layer_tensors(const ModelSpec& spec, std::int32_t layer);
OuterTensors decoder_outer_tensors(const ModelSpec& spec);

}  // namespace molink
