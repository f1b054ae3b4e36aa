// Incremental text: a piece is never half a character, and all pieces give the text of decode().
#include "tokenizer/detokenizer.h"

#include "support/catch.h"
#include "tiny_tokenizer.h"
#include "tokenizer/unicode.h"

using namespace molink;
using namespace molink::test;

namespace {

std::vector<Token> as_bytes(std::string_view text) {
    std::vector<Token> tokens;
    for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
    return tokens;
}

}  // namespace

TEST_CASE("a character that is split over tokens appears with its last byte", "[detokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    Detokenizer detokenizer(*tokenizer, true);
    CHECK(detokenizer.push('a') == "a");
    CHECK(detokenizer.push(0xF0).empty());
    CHECK(detokenizer.push(0x9F).empty());
    CHECK(detokenizer.push(0x98).empty());
    CHECK(detokenizer.push(0x80) == "\xF0\x9F\x98\x80");
    CHECK(detokenizer.flush().empty());
}

TEST_CASE("incomplete bytes at the end become one replacement character", "[detokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    Detokenizer detokenizer(*tokenizer, true);
    CHECK(detokenizer.push(0xE2).empty());
    CHECK(detokenizer.push(0x82).empty());
    CHECK(detokenizer.flush() == kReplacementCharacter);
    CHECK(detokenizer.flush().empty());
    CHECK(detokenizer.push(kHello) == "hello");
}

TEST_CASE("wrong bytes are replaced as soon as they are known to be wrong", "[detokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    Detokenizer detokenizer(*tokenizer, true);
    CHECK(detokenizer.push(0x80) == kReplacementCharacter);
    CHECK(detokenizer.push(0xE2).empty());
    CHECK(detokenizer.push('x') == std::string(kReplacementCharacter) + "x");
    CHECK(detokenizer.push(0xE2).empty());
    CHECK(detokenizer.push(0xC3) == kReplacementCharacter);
    CHECK(detokenizer.push(0xA9) == "\xC3\xA9");
}

TEST_CASE("special tokens are skipped on request, unknown tokens always", "[detokenizer]") {
    TinyTokenizer tiny;
    tiny.added_tokens = "[" + added_token(kFirstAdded, "<s>", R"("special":true)") + "]";
    const auto tokenizer = tiny.make();
    Detokenizer skipping(*tokenizer, true);
    Detokenizer keeping(*tokenizer, false);
    CHECK(skipping.push(kFirstAdded).empty());
    CHECK(keeping.push(kFirstAdded) == "<s>");
    CHECK(keeping.push(-1).empty());
    CHECK(keeping.push(1 << 20).empty());
    // A token without text does not end an incomplete character.
    CHECK(skipping.push(0xC3).empty());
    CHECK(skipping.push(kFirstAdded).empty());
    CHECK(skipping.push(0xA9) == "\xC3\xA9");
}

TEST_CASE("pieces are whole characters and add up to decode()", "[detokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    std::uint32_t state = 7;
    for (int round = 0; round < 2000; ++round) {
        // The bytes at the boundaries of the ranges of UTF-8, so that most sequences are nearly
        // valid.
        constexpr unsigned char kBytes[] = {'a',  0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0,
                                            0xC2, 0xDF, 0xE0, 0xE1, 0xED, 0xEF, 0xF0, 0xF4, 0xF5};
        std::string bytes;
        for (int i = 0; i < 12; ++i) {
            state = state * 1664525u + 1013904223u;
            bytes += static_cast<char>(kBytes[(state >> 16) % sizeof kBytes]);
        }
        Detokenizer detokenizer(*tokenizer, false);
        std::string sum;
        for (const Token token : as_bytes(bytes)) {
            const std::string piece = detokenizer.push(token);
            REQUIRE_FALSE(find_invalid_utf8(piece).has_value());
            sum += piece;
        }
        sum += detokenizer.flush();
        REQUIRE(sum == tokenizer->decode(as_bytes(bytes), false));
    }
}

TEST_CASE("one replacement character for each maximal wrong sequence", "[detokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    const std::string r(kReplacementCharacter);
    // The example of section 3.9 of the Unicode standard, then truncated and overlong forms.
    CHECK(tokenizer->decode(as_bytes("a\xF1\x80\x80\xE1\x80\xC2"
                                     "b\x80"
                                     "c\x80\xBF"
                                     "d"),
                            false) == "a" + r + r + r + "b" + r + "c" + r + r + "d");
    CHECK(tokenizer->decode(as_bytes("\xC0\xAF"), false) == r + r);
    CHECK(tokenizer->decode(as_bytes("\xED\xA0\x80"), false) == r + r + r);
    CHECK(tokenizer->decode(as_bytes("\xF0\x9F\x98"), false) == r);
}
