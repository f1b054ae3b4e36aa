// Which file of a model folder holds what, in folders as different versions of transformers write
// them.
#include "loader/model_folder.h"

#include "support/catch.h"
#include "support/temp_dir.h"
#include "support/tiny_model.h"

using namespace molink;

namespace {

ModelFolder open(const TempDir& dir) {
    auto folder = ModelFolder::open(dir.path());
    INFO(folder.status().to_string());
    REQUIRE(folder.has_value());
    return std::move(*folder);
}

}  // namespace

TEST_CASE("a folder gives configuration, tokenizer and weights") {
    TempDir dir;
    REQUIRE(write_tiny_model(dir.path()).ok());
    const ModelFolder folder = open(dir);
    REQUIRE(folder.dir() == dir.path());
    REQUIRE(*folder.config().int64("hidden_size") == 64);
    REQUIRE(folder.tokenizer_file() == (dir.path() / "tokenizer.json").string());
    const auto weights = folder.open_weights();
    REQUIRE(weights.has_value());
    REQUIRE((*weights)->has("model.norm.weight"));
    REQUIRE((*weights)->where() == dir.string());
}

TEST_CASE("a missing file is an error only when it is needed") {
    TempDir dir;
    const auto none = ModelFolder::open(dir.path());
    REQUIRE(!none);
    REQUIRE(none.error().code() == StatusCode::not_found);
    write_file(dir / "config.json", "{}");
    const ModelFolder folder = open(dir);
    REQUIRE(!folder.tokenizer_file());
    REQUIRE(!*folder.chat_template());
    const auto defaults = folder.generation_defaults();
    REQUIRE(defaults.has_value());
    REQUIRE(!defaults->temperature);
    REQUIRE(!defaults->samples);
    const auto weights = folder.open_weights();
    REQUIRE(!weights);
    REQUIRE(weights.error().code() == StatusCode::not_found);
}

TEST_CASE("defaults of sampling come from generation_config.json and are checked") {
    TempDir dir;
    write_file(dir / "config.json", "{}");
    write_file(dir / "generation_config.json",
               R"({"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95,
                   "repetition_penalty": 1.05})");
    const auto defaults = open(dir).generation_defaults();
    REQUIRE(defaults.has_value());
    REQUIRE(defaults->samples == true);
    REQUIRE(defaults->temperature == 0.6);
    REQUIRE(defaults->top_k == 20);
    REQUIRE(defaults->top_p == 0.95);
    REQUIRE(!defaults->min_p);
    REQUIRE(defaults->repetition_penalty == 1.05);
    write_file(dir / "generation_config.json", R"({"top_p": 1.5})");
    const auto refused = open(dir).generation_defaults();
    REQUIRE(!refused);
    REQUIRE(refused.error().code() == StatusCode::invalid_argument);
    REQUIRE(refused.error().message().find("top_p") != std::string::npos);
}

TEST_CASE("a chat template is its own file or a value in tokenizer_config.json") {
    TempDir dir;
    write_file(dir / "config.json", "{}");
    write_file(dir / "tokenizer_config.json", R"({"chat_template": "{{ messages }}"})");
    REQUIRE(**open(dir).chat_template() == "{{ messages }}");
    write_file(dir / "tokenizer_config.json",
               R"({"chat_template": [{"name": "tool_use", "template": "tools"},
                                     {"name": "default", "template": "plain"}]})");
    REQUIRE(**open(dir).chat_template() == "plain");
    write_file(dir / "tokenizer_config.json", R"({"chat_template": 3})");
    REQUIRE(!open(dir).chat_template());
    write_file(dir / "chat_template.jinja", "{% for m in messages %}\n");
    REQUIRE(**open(dir).chat_template() == "{% for m in messages %}\n");
}
