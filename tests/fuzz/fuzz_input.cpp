// Ends a failed check: prints a line to standard error and calls abort(), which libFuzzer and ctest
// notice. Also validates UTF-8 without the code under test.
#include "fuzz_input.h"

#include <cstdio>
#include <cstdlib>

namespace molink::fuzz {

bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
        if (byte(i) < 0x80) {
            ++i;
            continue;
        }
        const std::size_t length = byte(i) >= 0xf0 ? 4 : byte(i) >= 0xe0 ? 3 : 2;
        if (byte(i) < 0xc2 || byte(i) > 0xf4 || i + length > text.size()) return false;
        std::uint32_t point = byte(i) & (0x7fu >> length);
        for (std::size_t k = 1; k < length; ++k) {
            if ((byte(i + k) & 0xc0) != 0x80) return false;
            point = (point << 6) | (byte(i + k) & 0x3fu);
        }
        constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
        if (point < kLeast[length] || point > 0x10ffff) return false;
        if (point >= 0xd800 && point <= 0xdfff) return false;
        i += length;
    }
    return true;
}

void fail(const char* what, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, what);
    std::abort();
}

}  // namespace molink::fuzz
