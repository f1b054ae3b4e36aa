// UTF-8 steps, properties and normalisation forms.
#include "tokenizer/unicode.h"

#include <vector>

#include "support/catch.h"
#include "tokenizer/byte_level.h"

using namespace molink;

TEST_CASE("every scalar value is one valid step, and its prefixes are incomplete", "[unicode]") {
    std::vector<std::uint32_t> wrong;
    for (std::uint32_t p = 0; p < 0x110000; ++p) {
        if (p >= 0xD800 && p < 0xE000) continue;
        std::string text;
        append_utf8(p, text);
        const Utf8Step step = utf8_step(text, 0);
        bool right = step.kind == Utf8Step::Kind::valid && step.length == text.size() &&
                     step.code_point == p;
        for (std::size_t size = 1; size < text.size(); ++size) {
            const Utf8Step part = utf8_step(std::string_view(text).substr(0, size), 0);
            right = right && part.kind == Utf8Step::Kind::incomplete && part.length == size;
        }
        if (!right) wrong.push_back(p);
    }
    CHECK(wrong.empty());
}

TEST_CASE("the offset of the first invalid byte is found", "[unicode]") {
    CHECK_FALSE(find_invalid_utf8("").has_value());
    CHECK_FALSE(find_invalid_utf8("a\xC3\xA9\xF4\x8F\xBF\xBF").has_value());
    CHECK(find_invalid_utf8("ab\xC3") == 2u);
    CHECK(find_invalid_utf8("\xE0\x80\x80") == 0u);
    CHECK(find_invalid_utf8("a\xF8\x88\x80\x80\x80") == 1u);
}

TEST_CASE("the four normalisation forms are supported", "[unicode]") {
    const std::string composed = "\xC3\xA9\xEF\xAC\x81\xEA\xB0\x80";  // e acute, fi, GA
    const std::string decomposed = "e\xCC\x81\xEF\xAC\x81\xE1\x84\x80\xE1\x85\xA1";
    CHECK(normalize_utf8(decomposed, NormalizationForm::nfc) == composed);
    CHECK(normalize_utf8(composed, NormalizationForm::nfd) == decomposed);
    CHECK(normalize_utf8(composed, NormalizationForm::nfkc) ==
          "\xC3\xA9"
          "fi\xEA\xB0\x80");
    CHECK(normalize_utf8(composed, NormalizationForm::nfkd) ==
          "e\xCC\x81"
          "fi\xE1\x84\x80\xE1\x85\xA1");
    CHECK(normalize_utf8("plain", NormalizationForm::nfkc) == "plain");
    CHECK(normalize_utf8("", NormalizationForm::nfc).empty());
}

TEST_CASE("marks are ordered, even half a million of them", "[unicode]") {
    CHECK(normalize_utf8("q\xCC\x87\xCC\xA3", NormalizationForm::nfd) == "q\xCC\xA3\xCC\x87");
    constexpr std::size_t kPairs = 250'000;
    std::string text = "q";
    std::string expected = "q";
    for (std::size_t i = 0; i < kPairs; ++i) text += "\xCC\x87\xCC\xA3";
    for (std::size_t i = 0; i < kPairs; ++i) expected += "\xCC\xA3";
    for (std::size_t i = 0; i < kPairs; ++i) expected += "\xCC\x87";
    CHECK((normalize_utf8(text, NormalizationForm::nfd) == expected));
}

TEST_CASE("code points newer than the frozen tables are not changed", "[unicode]") {
    for (const char* text : {"\xE3\x8B\xBF", "\xF0\x90\x9E\x81", "\xCD\x85\xDF\xBD"}) {
        CHECK(normalize_utf8(text, NormalizationForm::nfkc) ==
              normalize_utf8(text, NormalizationForm::nfkd));
    }
    CHECK(normalize_utf8("\xE3\x8B\xBF", NormalizationForm::nfkc) == "\xE3\x8B\xBF");
    CHECK(normalize_utf8("a\xDF\xBD\xCC\x81", NormalizationForm::nfc) == "a\xDF\xBD\xCC\x81");
}

TEST_CASE("space and word characters follow the Unicode properties", "[unicode]") {
    for (const std::uint32_t p : {0x20u, 0x09u, 0x85u, 0xA0u, 0x2003u, 0x3000u}) CHECK(is_space(p));
    for (const std::uint32_t p : {0x180Eu, 0x200Bu, 0x1Cu, 0x61u}) CHECK_FALSE(is_space(p));
    for (const std::uint32_t p :
         {0x61u, 0x5Fu, 0x301u, 0x4E2Du, 0x2167u, 0x200Du, 0x24B6u, 0x31350u}) {
        CHECK(is_word(p));
    }
    for (const std::uint32_t p : {0x20u, 0x2Du, 0xB2u, 0x1F600u}) CHECK_FALSE(is_word(p));
}

TEST_CASE("every byte has a spelling of its own", "[unicode]") {
    std::string all;
    for (int byte = 0; byte < 256; ++byte)
        all += byte_level_spelling(static_cast<std::uint8_t>(byte));
    std::string bytes;
    REQUIRE(append_byte_level_bytes(all, bytes));
    REQUIRE(bytes.size() == 256);
    for (int byte = 0; byte < 256; ++byte) {
        CHECK(static_cast<unsigned char>(bytes[static_cast<std::size_t>(byte)]) == byte);
    }
    CHECK(byte_level_spelling(' ') == "\xC4\xA0");
    CHECK(byte_level_spelling('\n') == "\xC4\x8A");
    CHECK(byte_level_spelling('a') == "a");
    for (const char* foreign : {" ", "a\xE2\x96\x81", "\xC5\x84", "\xFF"}) {
        CHECK_FALSE(append_byte_level_bytes(foreign, bytes));
        CHECK(bytes.size() == 256);
    }
}
