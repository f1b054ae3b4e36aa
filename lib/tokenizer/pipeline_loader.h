#pragma once

#include <string>
#include <vector>

#include "tokenizer/json_node.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pretokenize.h"

namespace molink {

/// Each reads one key of a tokenizer file's root object. A component of a kind that is not
/// supported is unimplemented, with its name and key; a wrong type or missing key is
/// invalid_argument.

Status load_normalizer(const JsonNode& root, Normalizer& normalizer);
/// Asks for ByteLevel as the last step, since the vocabulary is one of bytes.
Status load_pretokenizer(const JsonNode& root, Pretokenizer& pretokenizer);
/// Only ByteLevel is supported, which Tokenizer::decode() is.
Status check_decoder(const JsonNode& root);
/// `token_bytes` is the vocabulary, to check the template's ids against.
Status load_post_processor(const JsonNode& root, const std::vector<std::string>& token_bytes,
                           PostProcessor& processor);

}  // namespace molink
