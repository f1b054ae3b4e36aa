// Patterns that mean something else in PCRE2 than in tokenizer files, and patterns that are
// refused.
#include "tokenizer/regex_translate.h"

#include "support/catch.h"
#include "tokenizer/regex.h"

using namespace molink;

namespace {

// Returns the text of the first match, or "(none)".
std::string first_match(std::string_view pattern, std::string_view text) {
    const auto regex = Regex::compile(pattern);
    INFO(pattern << ": " << regex.status().to_string());
    REQUIRE(regex.has_value());
    Regex::Workspace workspace;
    const auto match = regex->find(text, 0, workspace);
    REQUIRE(match.has_value());
    if (!*match) return "(none)";
    return std::string(text.substr((*match)->begin, (*match)->end - (*match)->begin));
}

constexpr const char* kNone = "(none)";
constexpr const char* kMongolianSeparator = "\xE1\xA0\x8E";  // U+180E, white space to PCRE2 10.42

}  // namespace

TEST_CASE("white space is the property White_Space, also in a class", "[regex]") {
    CHECK(first_match("\\s", kMongolianSeparator) == kNone);
    CHECK(first_match("[^\\s]", kMongolianSeparator) == kMongolianSeparator);
    CHECK(first_match("[\\S]", kMongolianSeparator) == kMongolianSeparator);
    CHECK(first_match("\\S", kMongolianSeparator) == kMongolianSeparator);
    for (const char* space : {" ", "\t", "\x0B", "\xC2\x85", "\xC2\xA0", "\xE1\x9A\x80",
                              "\xE2\x80\x80", "\xE2\x80\x8A", "\xE2\x80\xA8", "\xE3\x80\x80"}) {
        CHECK(first_match("\\s", space) == space);
        CHECK(first_match("[\\s]", space) == space);
        CHECK(first_match("[^\\S]", space) == space);
        CHECK(first_match("\\S", space) == kNone);
    }
    CHECK(first_match("\\s", "\x1C") == kNone);
    CHECK(first_match("[\\s-]", "-") == "-");
}

TEST_CASE("letters and digits newer than Unicode 14 are known", "[regex]") {
    const std::string letter = "\xF0\xB1\x8D\x90";  // U+31350, Unicode 15
    const std::string digit = "\xF0\x96\x84\xB0";   // U+16130, Unicode 16
    CHECK(first_match("\\p{L}+", letter) == letter);
    CHECK(first_match("[\\p{Lo}]", letter) == letter);
    CHECK(first_match("\\p{Han}", letter) == letter);
    CHECK(first_match("\\P{L}|\\p{^L}|[^\\p{L}]", letter) == kNone);
    CHECK(first_match("\\p{N}", digit) == digit);
    CHECK(first_match("\\d", digit) == digit);
    CHECK(first_match("\\w", letter) == letter);
}

TEST_CASE("a script does not include its extensions", "[regex]") {
    CHECK(first_match("\\p{Han}", "\xE3\x80\x81") ==
          kNone);  // the ideographic comma has the script Common
    CHECK(first_match("\\p{Han}+", "\xE4\xB8\xAD") == "\xE4\xB8\xAD");
    CHECK(first_match("\\p{Latin}+", "\xC3\xA9x") == "\xC3\xA9x");
}

TEST_CASE("word characters include marks, and word boundaries follow from them", "[regex]") {
    CHECK(first_match("\\w+", "e\xCC\x81.") == "e\xCC\x81");
    CHECK(first_match("e\\b", "e\xCC\x81") == kNone);
    CHECK(first_match("e\\B", "e\xCC\x81") == "e");
    CHECK(first_match("\\W", "a_1\xCC\x81-") == "-");
}

TEST_CASE("repeats have the meaning of the source dialect", "[regex]") {
    CHECK(first_match("a{1,2}+", "aaaaa") == "aaaaa");  // repeated, not possessive
    CHECK(first_match("(?:ab){2}?", "abab") == "abab");
    CHECK(first_match("x(?:ab){2}?y", "xy") == "xy");  // optional, not lazy
    CHECK(first_match("[ab]{,2}c", "abac") == "bac");
    CHECK(first_match("a++a", "aaa") == kNone);
    CHECK(first_match("a{b", "a{b") == "a{b");
    CHECK(first_match("a{,}", "a{,}") == "a{,}");
}

TEST_CASE("flags apply to the end of their group", "[regex]") {
    CHECK(first_match("x(?i)a|b", "xB") == "xB");
    CHECK(first_match("(?i)ab|cd", "CD") == "CD");
    CHECK(first_match("(?:(?i)a)b", "Ab") == "Ab");
    CHECK(first_match("(?:(?i)a)b", "AB") == kNone);
    CHECK(first_match("(?i:'s)", "'\xC5\xBF") == "'\xC5\xBF");  // the long s matches s
}

TEST_CASE("numeric escapes and escapes with another meaning in PCRE2 are translated", "[regex]") {
    CHECK(first_match("\\u4e2D\\x41\\x{e9}",
                      "\xE4\xB8\xAD"
                      "A\xC3\xA9") ==
          "\xE4\xB8\xAD"
          "A\xC3\xA9");
    CHECK(first_match("\\h+", " x1Fz") == "1F");
    CHECK(first_match("[\\h]+", " x1Fz") == "1F");
    CHECK(first_match("\\v", "\n\x0B") == "\x0B");
    CHECK(first_match("[\\b]", "b\x08") == "\x08");
    CHECK(first_match("[]a]+", "x]a") == "]a");
    CHECK(first_match("[\\[\\]&]+", "[&]") == "[&]");
    CHECK(first_match("[^(\\s|[.,])]+", "(.ab, c") == "ab");  // an inner class adds its members
    CHECK(first_match("[a[b[c]]d]+", "xdcbae") == "dcba");
    CHECK(first_match("^b$", "a\nb\nc") == "b");
    CHECK(first_match(".+", "ab\ncd") == "ab");
    CHECK(first_match("[\xE4\xB8\x80-\xE9\xBE\xA5]+", "a\xE4\xB8\xAD") == "\xE4\xB8\xAD");
}

TEST_CASE("a construct without a counterpart is refused by name and offset", "[regex]") {
    const std::vector<std::pair<std::string, std::string>> cases = {{"ab(a)\\1", "offset 5"},
                                                                    {"[a-z&&[^b]]", "intersection"},
                                                                    {"[a[^bc]]", "inner class"},
                                                                    {"[[:alpha:]]", "POSIX"},
                                                                    {"(?m)a", "group"},
                                                                    {"(?<n>a)", "group"},
                                                                    {"\\K", "\\K"},
                                                                    {"\\pL", "property"},
                                                                    {"\\p{Script=Han}", "property"},
                                                                    {"[\\D]", "complement"},
                                                                    {"\\xE9", "byte"},
                                                                    {"\\u12", "number"},
                                                                    {"a\\", "backslash"},
                                                                    {"[ab", "class"},
                                                                    {"ab)", "parenthesis"}};
    for (const auto& [pattern, expected] : cases) {
        const auto translated = translate_regex(pattern);
        INFO(pattern);
        REQUIRE_FALSE(translated.has_value());
        CHECK(translated.error().code() == StatusCode::unimplemented);
        CHECK_THAT(translated.error().message(), Catch::Contains(expected));
    }
}

TEST_CASE("a malformed pattern is an invalid argument", "[regex]") {
    for (std::string_view pattern : {"(a", "a**", "[b-a]", "\\p{Klingon}", "a{2,1}", "\xFF"}) {
        const auto regex = Regex::compile(pattern);
        INFO(pattern);
        REQUIRE_FALSE(regex.has_value());
        CHECK(regex.error().code() == StatusCode::invalid_argument);
    }
}

TEST_CASE("a literal pattern has no special characters", "[regex]") {
    const auto regex = Regex::compile_literal("a.(\\s");
    REQUIRE(regex.has_value());
    Regex::Workspace workspace;
    const auto match = regex->find("axa.(\\s", 0, workspace);
    REQUIRE(match.has_value());
    REQUIRE(match->has_value());
    CHECK((*match)->begin == 2);
}
