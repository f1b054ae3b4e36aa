// Added tokens in text: which one matches, how much white space it takes, next to which letters it
// matches, and whether before or after the normaliser.
#include "tokenizer/added_tokens.h"

#include "support/catch.h"
#include "tiny_tokenizer.h"

using namespace molink;
using namespace molink::test;

namespace {

AddedToken token(Token id, const std::string& content) {
    AddedToken result;
    result.id = id;
    result.content = content;
    return result;
}

AddedTokenFinder finder_of(const std::vector<AddedToken>& tokens) {
    AddedTokenFinder finder;
    for (const AddedToken& added : tokens) finder.add(added, added.content);
    return finder;
}

// Returns the pieces of a text, such as "text|<3matched>|text".
std::string pieces_of(const AddedTokenFinder& finder, std::string_view text) {
    std::vector<AddedTokenFinder::Piece> pieces;
    finder.split(text, pieces);
    std::string out;
    for (const auto& piece : pieces) {
        if (!out.empty()) out += '|';
        out += piece.token < 0 ? std::string(piece.text)
                               : "<" + std::to_string(piece.token) + std::string(piece.text) + ">";
    }
    return out;
}

}  // namespace

TEST_CASE("the leftmost match counts, and the longest one at a place", "[added_tokens]") {
    const AddedTokenFinder finder = finder_of({token(1, "ab"), token(2, "abcd"), token(3, "bcde")});
    CHECK(pieces_of(finder, "xabcdex") == "x|<2abcd>|ex");
    CHECK(pieces_of(finder, "abcab") == "<1ab>|c|<1ab>");
    CHECK(pieces_of(finder, "abbcde") == "<1ab>|<3bcde>");
    CHECK(pieces_of(finder, "a") == "a");
    CHECK(pieces_of(finder, "").empty());
    CHECK(pieces_of(AddedTokenFinder(), "ab") == "ab");
}

TEST_CASE("of two tokens with the same content the first one counts", "[added_tokens]") {
    CHECK(pieces_of(finder_of({token(1, "ab"), token(2, "ab")}), "ab") == "<1ab>");
}

TEST_CASE("a token may include the white space beside it", "[added_tokens]") {
    AddedToken left = token(1, "<l>");
    left.lstrip = true;
    AddedToken right = token(2, "<r>");
    right.rstrip = true;
    const AddedTokenFinder finder = finder_of({left, right});
    CHECK(pieces_of(finder, "a \xC2\xA0\n<l> b") == "a|<1 \xC2\xA0\n<l>>| b");
    CHECK(pieces_of(finder,
                    "a <r> \xE3\x80\x80"
                    "b") == "a |<2<r> \xE3\x80\x80>|b");
    CHECK(pieces_of(finder, "<r>  <l>") == "<2<r>  >|<1<l>>");
    CHECK(pieces_of(finder, "  <l>") == "<1  <l>>");
    CHECK(pieces_of(finder, "<r>  ") == "<2<r>  >");
}

TEST_CASE("a single_word token matches only between word boundaries", "[added_tokens]") {
    AddedToken word = token(1, "foo");
    word.single_word = true;
    const AddedTokenFinder finder = finder_of({word});
    CHECK(pieces_of(finder, "foo") == "<1foo>");
    CHECK(pieces_of(finder, "(foo) foo.") == "(|<1foo>|) |<1foo>|.");
    for (const char* text : {"afoo", "foo1", "_foo", "foo\xC3\xA9",
                             "\xE4\xB8\xAD"
                             "foo",
                             "foo\xCC\x81", "foofoo"}) {
        CHECK(pieces_of(finder, text) == text);
    }
}

TEST_CASE("normalized tokens are searched after the normaliser", "[added_tokens]") {
    TinyTokenizer tiny;
    tiny.normalizer = R"({"type":"Replace","pattern":{"String":"b"},"content":"c"})";
    tiny.added_tokens = "[" + added_token(262, "abc", R"("normalized":true)") + "," +
                        added_token(263, "xbx", R"("normalized":false)") + "]";
    const auto tokenizer = tiny.make();
    CHECK(tokens_of(*tokenizer, "abc") == std::vector<Token>{262});
    CHECK(tokens_of(*tokenizer, "acc") == std::vector<Token>{262});
    CHECK(tokens_of(*tokenizer, "xbx") == std::vector<Token>{263});
    CHECK(tokens_of(*tokenizer, "xcx") == std::vector<Token>{'x', 'c', 'x'});
}
