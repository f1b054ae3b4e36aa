#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace molink {

/// Byte-level vocabularies spell each byte as one printable character: bytes that are printable in
/// Latin-1 as themselves, the 68 others as U+0100, U+0101, ... in order. Thread-safe.

/// The spelling of `byte` in UTF-8, static storage.
std::string_view byte_level_spelling(std::uint8_t byte);

/// Appends the bytes that `spelling` (UTF-8) stands for and returns true; false, with `bytes`
/// unchanged, when it holds a character outside the alphabet.
bool append_byte_level_bytes(std::string_view spelling, std::string& bytes);

}  // namespace molink
