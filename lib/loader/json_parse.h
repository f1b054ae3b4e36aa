#pragma once

#include <string>
#include <string_view>

#include <molink/status.h>
#include <nlohmann/json.hpp>

namespace molink {

/// Text from files, made fit for a message: about 160 bytes of UTF-8; control characters and bytes
/// that are no UTF-8 become '?'.
std::string printable(std::string_view text);

/// The parser's message without its own preamble.
std::string syntax_problem(const char* what);

/// Parses JSON text without exceptions. Beyond the grammar it refuses duplicate keys, nesting
/// deeper than limits::kMaxJsonDepth, NUL bytes and numbers too large for a double. `file` goes
/// into messages. Errors: data_loss.
Result<nlohmann::json> parse_json(std::string_view text, const std::string& file);

/// Maps and parses a file of at most `max_bytes`. Errors: as MappedFile::open, data_loss.
Result<nlohmann::json> parse_json_file(const std::string& path, std::size_t max_bytes);

}  // namespace molink
