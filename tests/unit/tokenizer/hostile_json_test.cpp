// Tokenizer files that are wrong: each gives an error that names the file and the key, and none
// throws.
#include <filesystem>
#include <fstream>

#include "support/catch.h"
#include "tiny_tokenizer.h"

using namespace molink;
using namespace molink::test;

namespace {

void check_refused(const std::string& json, StatusCode code, const std::string& expected) {
    const auto tokenizer = Tokenizer::parse(json, "bad.json");
    INFO(json.substr(0, 300));
    REQUIRE_FALSE(tokenizer.has_value());
    INFO(tokenizer.error().to_string());
    CHECK(tokenizer.error().code() == code);
    CHECK_THAT(tokenizer.error().message(), Catch::Contains("bad.json"));
    CHECK_THAT(tokenizer.error().message(), Catch::Contains(expected));
}

void check_invalid(const std::string& json, const std::string& expected) {
    check_refused(json, StatusCode::invalid_argument, expected);
}

void check_unsupported(const std::string& json, const std::string& expected) {
    check_refused(json, StatusCode::unimplemented, expected);
}

// Returns a file with the given model.
std::string with_model(const std::string& model) {
    return R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)"
           R"("decoder":{"type":"ByteLevel"},"model":)" +
           model + "}";
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
    const std::size_t at = text.find(what);
    REQUIRE(at != std::string::npos);
    return text.replace(at, what.size(), by);
}

}  // namespace

TEST_CASE("text that is not JSON is refused", "[hostile]") {
    check_invalid("", "line 1");
    check_invalid("{\"model\": nope}", "column 1");
    check_invalid("[]", "expected an object, found array");
    check_invalid("\"text\"", "found string");
    check_invalid(std::string("{\"model\":\"\xFF\"}"), "UTF-8");
    check_invalid(TinyTokenizer().json() + "x", "line 1");
    check_invalid(std::string(100, '\0'), "JSON of 100 bytes");
}

TEST_CASE("a key or a token that is there twice is refused", "[hostile]") {
    check_invalid(R"({"model":{},"model":{}})", "key \"model\" appears twice");
    check_invalid(with_model(R"({"type":"BPE","vocab":{"a":0,"b":1,"a":2},"merges":[]})"),
                  "key \"a\" appears twice");
    TinyTokenizer tiny;
    tiny.added_tokens = "[" + added_token(262, "<x>") + "," + added_token(262, "<x>") + "]";
    CHECK(Tokenizer::parse(tiny.json(), "good.json").has_value());
    tiny.added_tokens = R"([{"id":262,"content":"<x>","special":true},
                            {"id":262,"content":"<x>","special":false}])";
    check_invalid(tiny.json(), "listed twice with different flags");
}

TEST_CASE("the depth of nesting is checked before parsing", "[hostile]") {
    check_invalid(std::string(10'000'000, '['), "10000000 levels");
    std::string nested = "{\"a\":";
    for (int i = 0; i < 100'000; ++i) nested += "{\"a\":[";
    check_invalid(nested, "levels deep");
    // Brackets inside strings do not count.
    TinyTokenizer tiny;
    tiny.added_tokens = "[" + added_token(262, std::string(300, '[') + "\"") + "]";
    CHECK(tokens_of(*tiny.make(), std::string(300, '[') + "\"") == std::vector<Token>{262});
}

TEST_CASE("a file cut at any place is refused", "[hostile]") {
    const std::string json = TinyTokenizer().json();
    for (std::size_t size = 0; size < json.size(); size += 7) {
        REQUIRE_FALSE(Tokenizer::parse(json.substr(0, size), "cut").has_value());
    }
}

TEST_CASE("a file with one byte changed never throws", "[hostile]") {
    const std::string json = TinyTokenizer().json();
    std::uint32_t state = 3;
    for (int i = 0; i < 1500; ++i) {
        std::string changed = json;
        state = state * 1664525u + 1013904223u;
        const std::size_t at = (state >> 8) % json.size();
        changed[at] = "\"{}[],:0-9\\x\xC3"[(state >> 4) % 14];
        const auto tokenizer = Tokenizer::parse(changed, "changed");
        if (tokenizer) (void)(*tokenizer)->encode("hello world", true);
    }
}

TEST_CASE("missing and mistyped keys of the model are refused", "[hostile]") {
    check_invalid(R"({"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},)"
                  R"("decoder":{"type":"ByteLevel"}})",
                  "key model is missing");
    check_invalid(with_model("7"), "key model: expected an object, found number 7");
    check_invalid(with_model(R"({"merges":[]})"), "model.vocab is missing");
    check_invalid(with_model(R"({"vocab":{"a":0}})"), "model.merges is missing");
    check_invalid(with_model(R"({"vocab":[],"merges":[]})"), "model.vocab: expected an object");
    check_invalid(with_model(R"({"vocab":{},"merges":[]})"), "model.vocab is empty");
    check_invalid(with_model(R"({"vocab":{"a":0},"merges":{}})"),
                  "model.merges: expected an array");
    check_invalid(with_model(R"({"type":3,"vocab":{"a":0},"merges":[]})"), "model.type");
    check_invalid(with_model(R"({"vocab":{"a":0},"merges":[],"ignore_merges":1})"),
                  "model.ignore_merges: expected true or false");
    check_invalid(with_model(R"({"vocab":{"a":0},"merges":[],"unk_token":"zz"})"), "\"zz\"");
}

TEST_CASE("ids that are out of range or given twice are refused", "[hostile]") {
    for (const char* id : {"-1", "1.5", "4194304", "18446744073709551615", "1e300",
                           "99999999999999999999999", "\"0\"", "null", "true", "[0]"}) {
        check_invalid(with_model(std::string(R"({"vocab":{"a":)") + id + R"(},"merges":[]})"),
                      "model.vocab[\"a\"]: expected an integer in [0, 4194304)");
    }
    check_invalid(with_model(R"({"vocab":{"a":5,"b":5},"merges":[]})"),
                  "id 5 is given to both \"a\" and \"b\"");
}

TEST_CASE("impossible merges are refused", "[hostile]") {
    const auto merges = [](const std::string& list) {
        return with_model(R"({"vocab":{"a":0,"b":1,"ab":2},"merges":)" + list + "}");
    };
    CHECK(Tokenizer::parse(merges(R"(["#version: 0.2","a b",["a","b"]])"), "good").has_value());
    check_invalid(merges(R"(["a c"])"), "model.merges[0]: token \"c\"");
    check_invalid(merges(R"(["a b","b a"])"), "model.merges[1]: token \"ba\"");
    check_invalid(merges(R"(["ab"])"), "model.merges[0]");
    check_invalid(merges(R"(["a b a"])"), "model.merges[0]");
    check_invalid(merges(R"([["a"]])"), "must have 2 sides; this one has 1");
    check_invalid(merges(R"([["a",1]])"), "model.merges[0][1]: expected a string");
    check_invalid(merges("[7]"), "model.merges[0]: expected a string, found number 7");
}

TEST_CASE("added tokens that contradict the vocabulary are refused", "[hostile]") {
    TinyTokenizer tiny;
    const auto with_added = [&](const std::string& tokens) {
        tiny.added_tokens = tokens;
        return tiny.json();
    };
    check_invalid(with_added("{}"), "added_tokens: expected an array");
    check_invalid(with_added("[1]"), "added_tokens[0]: expected an object");
    check_invalid(with_added(R"([{"id":262}])"), "added_tokens[0].content is missing");
    check_invalid(with_added(R"([{"content":"x"}])"), "added_tokens[0].id is missing");
    check_invalid(with_added("[" + added_token(262, "") + "]"), "token 262 is empty");
    check_invalid(with_added("[" + added_token(5000000, "<s>") + "]"), "found number 5000000");
    check_invalid(with_added("[" + added_token(262, "<s>", R"("special":0)") + "]"), "special");
    check_invalid(with_added("[" + added_token(65, "<s>") + "]"), "id 65 of \"<s>\"");
    check_invalid(with_added("[" + added_token(262, "a") + "]"), "262 here and 97 elsewhere");
    check_invalid(with_added("[" + added_token(262, "<s>") + "," + added_token(263, "<s>") + "]"),
                  "263 here and 262 elsewhere");
}

TEST_CASE("components that are not supported are named", "[hostile]") {
    TinyTokenizer tiny;
    SECTION("normalizer") {
        tiny.normalizer = R"({"type":"BertNormalizer"})";
        check_unsupported(tiny.json(), "normalizer \"BertNormalizer\"");
        tiny.normalizer = R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Strip"}]})";
        check_unsupported(tiny.json(), "normalizer.normalizers[1]: normalizer \"Strip\"");
        tiny.normalizer = R"({"type":"Replace","pattern":{"Regex":"a"},"content":""})";
        check_unsupported(tiny.json(), "Replace with a regular expression");
    }
    SECTION("pre-tokenizer") {
        tiny.pre_tokenizer = R"({"type":"Metaspace"})";
        check_unsupported(tiny.json(), "\"Metaspace\"");
        tiny.pre_tokenizer = "null";
        check_unsupported(tiny.json(), "must contain ByteLevel");
        tiny.pre_tokenizer =
            R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel","add_prefix_space":false},)"
            R"({"type":"Digits","individual_digits":true}]})";
        check_unsupported(tiny.json(), "\"Digits\" after ByteLevel");
    }
    SECTION("post-processor") {
        tiny.post_processor = R"({"type":"RobertaProcessing"})";
        check_unsupported(tiny.json(), "\"RobertaProcessing\"");
    }
    SECTION("decoder") {
        tiny.decoder = R"({"type":"Metaspace"})";
        check_unsupported(tiny.json(), "\"Metaspace\"");
        tiny.decoder = "null";
        check_unsupported(tiny.json(), "must contain ByteLevel");
    }
    SECTION("model") {
        check_unsupported(replaced(tiny.json(), "\"BPE\"", "\"Unigram\""), "\"Unigram\"");
        tiny.model_options = R"("byte_fallback":true,)";
        check_unsupported(tiny.json(), "byte_fallback");
        tiny.model_options = R"("dropout":0.1,)";
        check_unsupported(tiny.json(), "dropout");
        tiny.model_options = R"("end_of_word_suffix":"</w>",)";
        check_unsupported(tiny.json(), "</w>");
    }
    SECTION("version") {
        check_unsupported(replaced(tiny.json(), "\"1.0\"", "\"2.0\""), "\"2.0\"");
    }
}

TEST_CASE("options that change nothing are accepted", "[hostile]") {
    TinyTokenizer tiny;
    tiny.model_options = R"("dropout":0.0,"unk_token":"","continuing_subword_prefix":"",)"
                         R"("end_of_word_suffix":"","fuse_unk":false,"byte_fallback":false,)";
    tiny.decoder = R"({"type":"Sequence","decoders":[{"type":"ByteLevel"},{"type":"Fuse"}]})";
    CHECK(tokens_of(*tiny.make(), "hello") == std::vector<Token>{kHello});
}

TEST_CASE("malformed components are refused", "[hostile]") {
    TinyTokenizer tiny;
    const auto with_pre_tokenizer = [&](const std::string& text) {
        tiny.pre_tokenizer = text;
        return tiny.json();
    };
    check_invalid(with_pre_tokenizer(R"({"type":"ByteLevel"})"), "add_prefix_space is missing");
    check_invalid(with_pre_tokenizer(R"({})"), "pre_tokenizer.type is missing");
    check_invalid(with_pre_tokenizer(R"({"type":"Sequence","pretokenizers":{}})"),
                  "pre_tokenizer.pretokenizers: expected an array");
    check_invalid(with_pre_tokenizer(R"({"type":"Split","pattern":{"Regex":"(a"},)"
                                     R"("behavior":"Isolated"})"),
                  "key pre_tokenizer");
    check_invalid(with_pre_tokenizer(R"({"type":"Split","pattern":{"Regex":"a"},)"
                                     R"("behavior":"Sideways"})"),
                  "Sideways");
    check_invalid(with_pre_tokenizer(R"({"type":"Split","pattern":"a","behavior":"Isolated"})"),
                  "pre_tokenizer.pattern");
}

TEST_CASE("templates with unknown tokens or texts are refused", "[hostile]") {
    TinyTokenizer tiny;
    const auto with_template = [&](const std::string& single, const std::string& ids) {
        tiny.post_processor = R"({"type":"TemplateProcessing","single":)" + single +
                              R"(,"special_tokens":{"B":{"id":"B","ids":)" + ids + "}}}";
        return tiny.json();
    };
    const std::string good = R"([{"SpecialToken":{"id":"B"}},{"Sequence":{"id":"A"}}])";
    CHECK(Tokenizer::parse(with_template(good, "[104]"), "good").has_value());
    check_invalid(with_template(good, "[262]"), "token 262 is not in the vocabulary of 262 ids");
    check_invalid(with_template(good, "[-1]"), "special_tokens.B.ids[0]");
    check_invalid(with_template(R"([{"SpecialToken":{"id":"C"}}])", "[1]"), "special_tokens.C");
    check_invalid(with_template(R"([{"Sequence":{"id":"B"}}])", "[1]"), "found \"B\"");
    check_invalid(with_template("[3]", "[1]"), "single[0]");
}

TEST_CASE("paths that are not readable files are refused", "[hostile]") {
    const auto missing = Tokenizer::load("no/such/tokenizer.json");
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().code() == StatusCode::not_found);
    CHECK_THAT(missing.error().message(), Catch::Contains("no/such/tokenizer.json"));
    const auto folder = Tokenizer::load(MOLINK_SOURCE_DIR);
    REQUIRE_FALSE(folder.has_value());
    CHECK(folder.error().code() == StatusCode::invalid_argument);
    const auto path = std::filesystem::temp_directory_path() / "molink_tokenizer_test.json";
    std::ofstream(path, std::ios::binary) << TinyTokenizer().json();
    const auto tokenizer = Tokenizer::load(path.string());
    REQUIRE(tokenizer.has_value());
    CHECK(tokens_of(**tokenizer, "hello") == std::vector<Token>{kHello});
    std::filesystem::remove(path);
}
