#pragma once

#include <string>
#include <vector>

#include "tokenizer/json_node.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pretokenize.h"

namespace molink {

/// Each function reads one key of the root object of a tokenizer file. Errors: unimplemented for a
/// component of an unsupported kind, with its name and key; invalid_argument for a wrong type or a
/// missing key.

Status load_normalizer(const JsonNode& root, Normalizer& normalizer);
/// Requires ByteLevel as the last step, since the vocabulary consists of bytes.
Status load_pretokenizer(const JsonNode& root, Pretokenizer& pretokenizer);
/// Supports only ByteLevel, which Tokenizer::decode() implements.
Status check_decoder(const JsonNode& root);
/// Checks the ids of templates against the vocabulary `token_bytes`.
Status load_post_processor(const JsonNode& root, const std::vector<std::string>& token_bytes,
                           PostProcessor& processor);

}  // namespace molink
