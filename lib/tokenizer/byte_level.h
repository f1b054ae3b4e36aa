#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace molink {

/// Byte-level vocabularies spell each byte as one printable character. Bytes that are printable in
/// Latin-1 stand for themselves. The 68 others are U+0100, U+0101 and so on, in order. Thread-safe.

/// Returns the spelling of `byte` in UTF-8. Static storage.
std::string_view byte_level_spelling(std::uint8_t byte);

/// Appends the bytes of `spelling` (UTF-8) and returns true. Returns false and leaves `bytes`
/// unchanged if it contains a character outside the alphabet.
bool append_byte_level_bytes(std::string_view spelling, std::string& bytes);

}  // namespace molink
