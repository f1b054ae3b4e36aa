#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/bpe.h"
#include "tokenizer/json_node.h"

namespace molink {

/// The component `model` of a tokenizer file.
struct LoadedModel {
    BpeModel bpe;
    std::vector<std::string> token_bytes;                  ///< by id; empty: unused id
    std::unordered_map<std::string_view, Token> token_of;  ///< by spelling; points into the JSON
};

/// Reads a byte-level BPE model. Errors: unimplemented for models of another type or with options
/// that byte-level models do not have; invalid_argument for contradictory files.
Result<LoadedModel> load_bpe_model(const JsonNode& model);

}  // namespace molink
