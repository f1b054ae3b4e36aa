// The alphabet of byte-level BPE as a table of 256 spellings and its inverse. All code points are
// below U+0144, so the inverse is an array. The tables are built once on first use, because every
// text and vocabulary needs them. Relies on the UTF-8 reader.
#include "tokenizer/byte_level.h"

#include <array>

#include "tokenizer/unicode.h"

namespace molink {
namespace {

constexpr std::size_t kAlphabetEnd = 0x144;

struct Alphabet {
    std::array<std::string, 256> spelling;
    std::array<std::int16_t, kAlphabetEnd> byte_of;
};

bool prints_as_itself(unsigned byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

Alphabet make_alphabet() {
    Alphabet alphabet;
    alphabet.byte_of.fill(-1);
    std::uint32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const std::uint32_t code_point = prints_as_itself(byte) ? byte : next++;
        append_utf8(code_point, alphabet.spelling[byte]);
        alphabet.byte_of[code_point] = static_cast<std::int16_t>(byte);
    }
    return alphabet;
}

const Alphabet& alphabet() {
    static const Alphabet instance = make_alphabet();
    return instance;
}

}  // namespace

std::string_view byte_level_spelling(std::uint8_t byte) {
    return alphabet().spelling[byte];
}

bool append_byte_level_bytes(std::string_view spelling, std::string& bytes) {
    const std::size_t size_before = bytes.size();
    for (std::size_t offset = 0; offset < spelling.size();) {
        const Utf8Step step = utf8_step(spelling, offset);
        const bool known = step.kind == Utf8Step::Kind::valid && step.code_point < kAlphabetEnd &&
                           alphabet().byte_of[step.code_point] >= 0;
        if (!known) {
            bytes.resize(size_before);
            return false;
        }
        bytes.push_back(static_cast<char>(alphabet().byte_of[step.code_point]));
        offset += step.length;
    }
    return true;
}

}  // namespace molink
