// The whole tokenizer on hand-made files: ids, text, templates, options, errors and long texts.
#include "tokenizer/tokenizer.h"

#include <thread>

#include "support/catch.h"
#include "tiny_tokenizer.h"

using namespace molink;
using namespace molink::test;

using Tokens = std::vector<Token>;

TEST_CASE("merges are applied by rank and not across words", "[tokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    CHECK(tokens_of(*tokenizer, "hello world") == Tokens{kHello, kSpaceW, kOr, 'l', 'd'});
    CHECK(tokens_of(*tokenizer, "hell hel") == Tokens{kHell, ' ', kHe, 'l'});
    CHECK(tokens_of(*tokenizer, "").empty());
    CHECK(tokenizer->vocabulary_size() == kFirstAdded);
}

TEST_CASE("merges may be pairs", "[tokenizer]") {
    TinyTokenizer tiny;
    tiny.merges_as_pairs = true;
    CHECK(tokens_of(*tiny.make(), "hello") == Tokens{kHello});
}

TEST_CASE("text with any characters is encoded and decoded", "[tokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    const std::string text("zero \0 byte, \xC3\xA9t\xC3\xA9, \xF0\x9F\x98\x80\r\n\t end", 31);
    CHECK(tokenizer->decode(tokens_of(*tokenizer, text), false) == text);
}

TEST_CASE("token_bytes gives raw bytes, for special tokens too", "[tokenizer]") {
    TinyTokenizer tiny;
    tiny.added_tokens = "[" + added_token(kFirstAdded, "<s>", R"("special":true)") + "," +
                        added_token(kFirstAdded + 2, "caf\xC3\xA9") + "]";
    const auto tokenizer = tiny.make();
    CHECK(tokenizer->token_bytes(0xE9) == "\xE9");
    CHECK(tokenizer->token_bytes(kSpaceW) == " w");
    CHECK(tokenizer->token_bytes(kFirstAdded) == "<s>");
    CHECK(tokenizer->token_bytes(kFirstAdded + 2) == "caf\xC3\xA9");
    CHECK(tokenizer->is_special(kFirstAdded));
    CHECK_FALSE(tokenizer->is_special(kFirstAdded + 2));
    SECTION("ids without a token") {
        CHECK(tokenizer->vocabulary_size() == kFirstAdded + 3);
        for (const Token unknown : {kFirstAdded + 1, kFirstAdded + 3, -1, 2147483647}) {
            CHECK(tokenizer->token_bytes(unknown).empty());
            CHECK_FALSE(tokenizer->is_special(unknown));
        }
        CHECK(tokenizer->decode(Tokens{'a', -5, kFirstAdded + 1, 1 << 30, 'b'}, false) == "ab");
    }
}

TEST_CASE("special tokens are found in text and left out on request", "[tokenizer]") {
    TinyTokenizer tiny;
    tiny.added_tokens = "[" + added_token(kFirstAdded, "<s>", R"("special":true)") + "]";
    const auto tokenizer = tiny.make();
    const Tokens tokens = tokens_of(*tokenizer, "hello<s>hello");
    CHECK(tokens == Tokens{kHello, kFirstAdded, kHello});
    CHECK(tokenizer->decode(tokens, false) == "hello<s>hello");
    CHECK(tokenizer->decode(tokens, true) == "hellohello");
}

TEST_CASE("a template surrounds the text", "[tokenizer]") {
    TinyTokenizer tiny;
    tiny.added_tokens = "[" + added_token(kFirstAdded, "<s>", R"("special":true)") + "," +
                        added_token(kFirstAdded + 1, "</s>", R"("special":true)") + "]";
    tiny.post_processor =
        R"({"type":"Sequence","processors":[{"type":"ByteLevel","trim_offsets":false},)"
        R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"B","type_id":0}},)"
        R"({"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"E","type_id":0}}],"pair":[],)"
        R"("special_tokens":{"B":{"id":"B","ids":[262,262],"tokens":["<s>","<s>"]},)"
        R"("E":{"id":"E","ids":[263],"tokens":["</s>"]}}}]})";
    const auto tokenizer = tiny.make();
    CHECK(tokens_of(*tokenizer, "hello", true) ==
          Tokens{kFirstAdded, kFirstAdded, kHello, kFirstAdded + 1});
    CHECK(tokens_of(*tokenizer, "hello", false) == Tokens{kHello});
    CHECK(tokens_of(*tokenizer, "", true) == Tokens{kFirstAdded, kFirstAdded, kFirstAdded + 1});
}

TEST_CASE("ignore_merges uses a token for a whole word that merges do not reach", "[tokenizer]") {
    TinyTokenizer tiny;
    tiny.merges = {"b c", "a b", "ab c"};  // "b c" comes first, so "ab c" is never reached
    CHECK(tokens_of(*tiny.make(), "abc xabc") == Tokens{'a', 256, ' ', 'x', 'a', 256});
    tiny.model_options = R"("ignore_merges":true,)";
    CHECK(tokens_of(*tiny.make(), "abc xabc") == Tokens{258, ' ', 'x', 'a', 256});
}

TEST_CASE("normalizers rewrite the text before it is cut", "[tokenizer]") {
    TinyTokenizer tiny;
    SECTION("NFC composes") {
        tiny.normalizer = R"({"type":"NFC"})";
        CHECK(tokens_of(*tiny.make(), "e\xCC\x81") == Tokens{0xC3, 0xA9});
    }
    SECTION("a sequence is applied in order") {
        tiny.normalizer = R"({"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"_"},)"
                          R"({"type":"Replace","pattern":{"String":"_a"},"content":"hello"}]})";
        const auto tokenizer = tiny.make();
        CHECK(tokens_of(*tokenizer, "a_a") == Tokens{kHello, kHello});
        CHECK(tokens_of(*tokenizer, "").empty());
    }
}

TEST_CASE("a byte without a token", "[tokenizer]") {
    const std::string head = R"({"added_tokens":[],"pre_tokenizer":{"type":"ByteLevel",)"
                             R"("add_prefix_space":false},"decoder":{"type":"ByteLevel"},)"
                             R"("model":{"vocab":{"a":0,"b":1,"?":2},"merges":[])";
    const auto load = [&](const std::string& options) {
        auto tokenizer = Tokenizer::parse(head + options + "}}", "three");
        REQUIRE(tokenizer.has_value());
        return std::move(tokenizer).value();
    };
    SECTION("is an error when there is no unknown token") {
        const auto tokens = load("")->encode("abxc", true);
        REQUIRE_FALSE(tokens.has_value());
        CHECK(tokens.error().code() == StatusCode::invalid_argument);
        CHECK_THAT(tokens.error().message(), Catch::Contains("0x78"));
    }
    SECTION("is the unknown token, each or fused") {
        const std::string unknown = R"(,"unk_token":"?")";
        CHECK(tokens_of(*load(unknown), "axyb") == Tokens{0, 2, 2, 1});
        CHECK(tokens_of(*load(unknown + R"(,"fuse_unk":true)"), "axyb") == Tokens{0, 2, 1});
    }
}

TEST_CASE("text that is not UTF-8 is refused with the offset", "[tokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"abc\xFF", "byte 3 (0xff)"},
        {"\xC3\xA9\xC3", "byte 2 (0xc3)"},
        {"\xED\xA0\x80", "byte 0 (0xed)"},
        {"a\xC0\x80", "byte 1 (0xc0)"},
        {"\xF4\x90\x80\x80", "byte 0 (0xf4)"}};
    for (const auto& [text, expected] : cases) {
        const auto tokens = tokenizer->encode(text, true);
        REQUIRE_FALSE(tokens.has_value());
        CHECK(tokens.error().code() == StatusCode::invalid_argument);
        CHECK_THAT(tokens.error().message(), Catch::Contains(expected));
    }
}

// Quadratic time would take hours and exceed the time limit of the test run.
TEST_CASE("a megabyte of any text is encoded and decoded in time", "[tokenizer]") {
    TinyTokenizer tiny;
    tiny.merges = {"a a", "aa aa", "\xC4\xA0 \xC4\xA0", "0 0"};
    const bool split_style = GENERATE(false, true);
    if (split_style) {
        tiny.pre_tokenizer =
            R"({"type":"Sequence","pretokenizers":[{"type":"Split","behavior":"Isolated",)"
            R"("pattern":{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|)"
            R"(\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},)"
            R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})";
    }
    const auto tokenizer = tiny.make();
    constexpr std::size_t kSize = 1 << 20;
    std::string random;
    std::uint32_t state = 12345;
    while (random.size() < kSize) {
        state = state * 1664525u + 1013904223u;
        random += static_cast<char>((state >> 16) % 128);
    }
    std::vector<std::string> texts = {random};
    for (const char letter : {'a', ' ', '\n', '0', '\'', '<'}) texts.emplace_back(kSize, letter);
    texts.push_back(std::string(kSize, ' ') + "x");
    for (const std::string& text : texts) {
        const Tokens tokens = tokens_of(*tokenizer, text);
        CHECK((tokenizer->decode(tokens, false) == text));
    }
    CHECK(tokens_of(*tokenizer, texts[1]).size() == kSize / 4);
}

TEST_CASE("several threads may use one tokenizer", "[tokenizer]") {
    const auto tokenizer = TinyTokenizer().make();
    const std::string text = "hello world, hello \xF0\x9F\x98\x80 worlds";
    const Tokens expected = tokens_of(*tokenizer, text);
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < wrong.size(); ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 200; ++i) {
                const auto tokens = tokenizer->encode(text, true);
                if (!tokens || *tokens != expected) ++wrong[t];
                if (tokenizer->decode(expected, true) != text) ++wrong[t];
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == std::vector<int>(4, 0));
}
