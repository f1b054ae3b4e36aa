// Reading configurations: the typed accessors, their errors, and text that is not a configuration.
#include "loader/config_file.h"

#include <string>

#include "base/random.h"
#include "loader/json_parse.h"
#include "support/catch.h"
#include "support/temp_dir.h"

using namespace molink;

namespace {

Result<ConfigFile> load(const TempDir& dir, const std::string& config) {
    write_file(dir / "config.json", config);
    return ConfigFile::load(dir.path());
}

ConfigFile loaded(const TempDir& dir, const std::string& config) {
    auto file = load(dir, config);
    INFO(file.status().to_string());
    REQUIRE(file.has_value());
    return std::move(file).value();
}

template <typename T>
void check_error(const Result<T>& result, StatusCode code, const std::string& text) {
    REQUIRE_FALSE(result.has_value());
    INFO(result.error().message());
    CHECK(result.error().code() == code);
    CHECK(result.error().message().find(text) != std::string::npos);
    CHECK(result.error().message().find("config.json") != std::string::npos);
}

}  // namespace

TEST_CASE("values are read with their types", "[config]") {
    const TempDir dir;
    const ConfigFile config =
        loaded(dir, R"({"hidden_size": 64, "eps": 1e-5, "theta": 10000, "tied": false,
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "none": null,
        "rope_parameters": {"rope_type": "llama3", "inner": {"x": 1}}, "ids": [1, 2], "low": -3})");
    CHECK(config.int64("hidden_size", 1, 100).value() == 64);
    CHECK(config.int64("low").value() == -3);
    CHECK(config.number("eps", 0, 1).value() == 1e-5);
    CHECK(config.number("theta").value() == 10000.0);
    CHECK(config.boolean("tied").value() == false);
    CHECK(config.string("model_type").value() == "llama");
    CHECK(config.string_list("architectures").value() ==
          std::vector<std::string>{"LlamaForCausalLM"});
    CHECK(config.int64_list("ids").value() == std::vector<std::int64_t>{1, 2});
    CHECK(config.int64_list("hidden_size").value() == std::vector<std::int64_t>{64});
    CHECK(config.int64_list("absent").value().empty());
    CHECK(config.has("tied"));
    CHECK_FALSE(config.has("none"));
    CHECK_FALSE(config.has("absent"));
    CHECK_FALSE(config.optional_int64("none").value().has_value());
    CHECK_FALSE(config.optional_object("absent").value().has_value());
    CHECK(config.optional_number("eps").value().value() == 1e-5);
    CHECK(config.optional_boolean("tied").value().value() == false);
    CHECK(config.optional_string("model_type").value().value() == "llama");
    const ConfigObject rope = config.object("rope_parameters").value();
    CHECK(rope.string("rope_type").value() == "llama3");
    CHECK(rope.keys() == std::vector<std::string>{"inner", "rope_type"});
    CHECK(rope.object("inner")->int64("x").value() == 1);
    check_error(rope.object("inner")->int64("y"), StatusCode::not_found,
                ": rope_parameters.inner.y is missing");
}

TEST_CASE("handles outlive the file object", "[config]") {
    const TempDir dir;
    const auto rope = [&] { return loaded(dir, R"({"a": {"b": 7}})").object("a").value(); }();
    CHECK(rope.int64("b").value() == 7);
}

TEST_CASE("errors for wrong values say what is permitted", "[config]") {
    const TempDir dir;
    const ConfigFile config =
        loaded(dir, R"({"negative": -5, "big": 1e30, "huge": 18446744073709551615,
        "fraction": 64.5, "whole": 64.0, "text": "64",
        "null": null, "list": [1, "x"], "yes": true, "object": {}})");
    check_error(config.int64("absent"), StatusCode::not_found, "absent is missing");
    check_error(config.int64("null"), StatusCode::not_found, "null is missing");
    check_error(config.int64("negative", 1, 100), StatusCode::invalid_argument,
                "negative is -5, expected an integer in [1, 100]");
    check_error(config.int64("huge"), StatusCode::invalid_argument, "huge is 18446744073709551615");
    check_error(config.int64("big"), StatusCode::invalid_argument, "big is 1e+30");
    check_error(config.int64("fraction"), StatusCode::invalid_argument, "fraction is 64.5");
    check_error(config.int64("whole"), StatusCode::invalid_argument, "whole is 64.0");
    check_error(config.int64("text"), StatusCode::invalid_argument, "text is \"64\"");
    check_error(config.int64("yes"), StatusCode::invalid_argument, "yes is true");
    check_error(config.optional_int64("text"), StatusCode::invalid_argument, "text is");
    check_error(config.number("negative", 0, 1), StatusCode::invalid_argument,
                "expected a number in [0, 1]");
    check_error(config.number("text"), StatusCode::invalid_argument, "text is");
    check_error(config.number("list"), StatusCode::invalid_argument, "list is [1,\"x\"]");
    check_error(config.boolean("text"), StatusCode::invalid_argument, "expected true or false");
    check_error(config.string("yes"), StatusCode::invalid_argument, "expected a string");
    check_error(config.string_list("list"), StatusCode::invalid_argument,
                "expected a list of strings");
    check_error(config.int64_list("list"), StatusCode::invalid_argument, "or a list of them");
    check_error(config.object("yes"), StatusCode::invalid_argument, "expected an object");
    check_error(config.optional_object("list"), StatusCode::invalid_argument, "expected an object");
}

TEST_CASE("generation_config.json overrides tokens", "[config]") {
    const TempDir dir;
    const std::string text = R"({"eos_token_id": 2, "bos_token_id": 1})";
    CHECK(loaded(dir, text).eos_tokens(100).value() == std::vector<Token>{2});
    CHECK(loaded(dir, text).bos_token(100).value() == 1);
    CHECK_FALSE(loaded(dir, text).generation().has_value());
    write_file(dir / "generation_config.json", R"({"eos_token_id": [5, 6]})");
    CHECK(loaded(dir, text).eos_tokens(100).value() == std::vector<Token>{5, 6});
    CHECK(loaded(dir, text).bos_token(100).value() == 1);
    CHECK(loaded(dir, text).generation().has_value());
    check_error(loaded(dir, text).eos_tokens(6), StatusCode::invalid_argument, "[5,6]");
    write_file(dir / "generation_config.json", R"({"eos_token_id": null})");
    CHECK(loaded(dir, text).eos_tokens(100).value() == std::vector<Token>{2});
    write_file(dir / "generation_config.json", "{}");
    CHECK(loaded(dir, "{}").eos_tokens(100).value().empty());
    CHECK(loaded(dir, "{}").bos_token(100).value() == -1);
    check_error(loaded(dir, R"({"eos_token_id": -1})").eos_tokens(100),
                StatusCode::invalid_argument, "-1");
    check_error(loaded(dir, R"({"bos_token_id": 100})").bos_token(100),
                StatusCode::invalid_argument, "100");
    write_file(dir / "generation_config.json", "{");
    check_error(load(dir, "{}"), StatusCode::data_loss, "generation_config.json");
}

TEST_CASE("text that is not a configuration is refused", "[config]") {
    const TempDir dir;
    check_error(ConfigFile::load(dir.path()), StatusCode::not_found, "No such file");
    for (const std::string& text :
         {std::string(), std::string("{"), std::string("[]"), std::string("5"), std::string("null"),
          std::string("{\"a\": 1, \"a\": 2}"), std::string("{\"a\": {\"b\": 1, \"b\": 2}}"),
          std::string("{\"a\": NaN}"), std::string("{\"a\": Infinity}"),
          std::string("{\"a\": 1e999}"), std::string("{\"a\": \"\xff\"}"), std::string("{} {}"),
          std::string("{'a': 1}"), std::string("{\"a\": 1}\0{", 9),
          "{\"a\": " + std::string(100'000, '['),
          "{\"a\": " + std::string(65, '[') + std::string(65, ']') + "}"}) {
        INFO(text.substr(0, 60));
        check_error(load(dir, text), StatusCode::data_loss, "config.json");
    }
    std::string deep = "{";
    for (int i = 0; i < 100'000; ++i) deep += "\"a\":{";
    check_error(load(dir, deep), StatusCode::data_loss, "deeper than 64");
    CHECK(load(dir, "{\"a\": " + std::string(63, '[') + std::string(63, ']') + "}").has_value());
    check_error(load(dir, std::string((32u << 20) + 1, ' ')), StatusCode::data_loss, "at most");
}

TEST_CASE("the canonical text does not depend on layout", "[config]") {
    const TempDir dir;
    const std::string first =
        loaded(dir, R"({"b": 1, "a": [1.50, {"y": 1, "x": "\u00e9"}]})").canonical_text();
    CHECK(first == loaded(dir, "{\n \"a\": [ 1.5, {\"x\":\"\xc3\xa9\", \"y\":1} ], \"b\":1}")
                       .canonical_text());
    CHECK(first !=
          loaded(dir, R"({"b": 2, "a": [1.50, {"y": 1, "x": "\u00e9"}]})").canonical_text());
}

TEST_CASE("configurations changed at random never crash the reader", "[config]") {
    const TempDir dir;
    const std::string whole =
        R"({"hidden_size": 64, "rope_scaling": {"factor": 8.0, "type": "llama3"},
        "eos_token_id": [1, 2], "architectures": ["LlamaForCausalLM"], "tied": true})";
    for (std::uint64_t seed = 1; seed <= 2'000; ++seed) {
        Random random(seed);
        std::string changed = whole;
        const std::uint64_t flips = 1 + random.below(3);
        for (std::uint64_t i = 0; i < flips; ++i) {
            changed[random.below(changed.size())] = static_cast<char>(random.next());
        }
        const auto config = load(dir, changed);
        INFO("repeat with seed " << seed);
        if (!config) {
            CHECK(config.error().code() == StatusCode::data_loss);
            continue;
        }
        for (const std::string& key : config->keys()) {
            CHECK((config->int64(key, 0, 100).has_value() ||
                   !config->int64(key, 0, 100).error().message().empty()));
            CHECK((config->number(key).has_value() ||
                   !config->number(key).error().message().empty()));
        }
        CHECK((config->eos_tokens(10).has_value() ||
               !config->eos_tokens(10).error().message().empty()));
    }
}

TEST_CASE("text from files is made printable", "[config]") {
    CHECK(printable("plain \xc3\xa9 \xf0\x9f\x98\x80") == "plain \xc3\xa9 \xf0\x9f\x98\x80");
    CHECK(printable("a\nb\x1b[0m\x7f") == "a?b?[0m?");
    CHECK(printable("\xff\xc0\xaf\xe2\x82") == "?????");
    CHECK(printable("\xed\xa0\x80\xf4\x90\x80\x80") == "???????");
    CHECK(printable(std::string(500, 'x')) == std::string(160, 'x') + "...");
    CHECK(printable("") == "");
}
