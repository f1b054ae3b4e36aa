#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace molink {

/// U+FFFD in UTF-8, which replaces bytes that are not a character.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

/// The content of a byte string at one place. The string should be UTF-8 (RFC 3629).
struct Utf8Step {
    enum class Kind : std::uint8_t {
        valid,       ///< one code point of `length` bytes
        invalid,     ///< `length` >= 1 bytes that no continuation can complete
        incomplete,  ///< the string ends inside a code point, after `length` bytes of it
    };
    Kind kind = Kind::valid;
    std::size_t length = 0;
    std::uint32_t code_point = 0;  ///< when valid
};

/// Reads `bytes` at `offset` < bytes.size(). An invalid step covers the longest prefix of a code
/// point (the "maximal subpart" of the Unicode standard), so that each becomes one U+FFFD.
Utf8Step utf8_step(std::string_view bytes, std::size_t offset);

/// Returns the offset of the first byte that is not well-formed UTF-8, or nothing if all bytes are.
std::optional<std::size_t> find_invalid_utf8(std::string_view bytes);

/// Appends `code_point` (a Unicode scalar value) as UTF-8.
void append_utf8(std::uint32_t code_point, std::string& out);

/// Returns the White_Space property.
bool is_space(std::uint32_t code_point);

/// Returns whether a code point is a word character after Unicode TR18: Alphabetic, Mark,
/// Decimal_Number, Connector_Punctuation or Join_Control.
bool is_word(std::uint32_t code_point);

enum class NormalizationForm : std::uint8_t { nfc, nfd, nfkc, nfkd };

/// Normalises well-formed UTF-8. The time is linear in the length, except for sorting marks.
std::string normalize_utf8(std::string_view utf8, NormalizationForm form);

}  // namespace molink
