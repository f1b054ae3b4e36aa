#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <molink/status.h>

#include "tokenizer/tokenizer_parts.h"

namespace molink {

/// Reads a file of at most limits::kMaxJsonFileBytes. Errors: those of
/// read_file_text.
Result<std::string> read_tokenizer_file(const std::string& path);

/// Builds a tokenizer from the text of a tokenizer.json. Errors name the wrong key; the caller adds
/// the file. May throw std::bad_alloc.
Result<std::unique_ptr<TokenizerParts>> load_tokenizer_parts(std::string_view json);

}  // namespace molink
