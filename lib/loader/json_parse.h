#pragma once

#include <string>
#include <string_view>

#include <molink/status.h>
#include <nlohmann/json.hpp>

namespace molink {

/// Makes text from files suitable for a message: cuts it to about 160 bytes of UTF-8 and replaces
/// control characters and bytes that are not UTF-8 by '?'.
std::string printable(std::string_view text);

/// Returns the parser's message without its preamble.
std::string syntax_problem(const char* what);

/// Parses JSON text without exceptions. It also refuses duplicate keys, nesting deeper than
/// limits::kMaxJsonDepth, NUL bytes and numbers that are too large for a double. `file` is used in
/// messages. Errors: data_loss.
Result<nlohmann::json> parse_json(std::string_view text, const std::string& file);

/// Reads and parses a file of at most `max_bytes`. Errors: those of read_file_text, data_loss.
Result<nlohmann::json> parse_json_file(const std::string& path, std::size_t max_bytes);

}  // namespace molink
