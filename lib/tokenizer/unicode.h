#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace molink {

/// U+FFFD in UTF-8: what stands for bytes that are no character.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

/// What lies at one place of a byte string that should be UTF-8 (RFC 3629).
struct Utf8Step {
    enum class Kind : std::uint8_t {
        valid,       ///< one code point of `length` bytes
        invalid,     ///< `length` >= 1 bytes that can never become a code point, whatever follows
        incomplete,  ///< the string ends inside a code point; `length` bytes of it are there
    };
    Kind kind = Kind::valid;
    std::size_t length = 0;
    std::uint32_t code_point = 0;  ///< when valid
};

/// Looks at `bytes` from `offset` (< bytes.size()). An invalid step spans the longest prefix of a
/// code point (the "maximal subpart" of the Unicode standard), so each becomes one U+FFFD.
Utf8Step utf8_step(std::string_view bytes, std::size_t offset);

/// Offset of the first byte that is not well-formed UTF-8, or nothing when all of it is.
std::optional<std::size_t> find_invalid_utf8(std::string_view bytes);

/// Appends `code_point` (a Unicode scalar value) as UTF-8.
void append_utf8(std::uint32_t code_point, std::string& out);

/// The White_Space property.
bool is_space(std::uint32_t code_point);

/// A word character as Unicode TR18 has it: Alphabetic, Mark, Decimal_Number,
/// Connector_Punctuation or Join_Control.
bool is_word(std::uint32_t code_point);

enum class NormalizationForm : std::uint8_t { nfc, nfd, nfkc, nfkd };

/// Unicode normalisation of well-formed UTF-8; linear in the length but for sorting marks.
std::string normalize_utf8(std::string_view utf8, NormalizationForm form);

}  // namespace molink
