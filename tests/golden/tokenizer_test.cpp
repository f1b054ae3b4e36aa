// Compares token ids and texts with those of the reference library, on files that it has trained
// and written (make_tokenizer_golden.py): in the style of GPT-2, Llama 3 and Qwen 2, and one with
// the rarer steps. Every case must be equal, and so must the text that is decoded token by token.
#include "tokenizer/tokenizer.h"

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "support/catch.h"
#include "tokenizer/detokenizer.h"

using namespace molink;

namespace {

const std::string kData = std::string(MOLINK_SOURCE_DIR) + "/tests/golden/data/tokenizer/";

std::string streamed(const Tokenizer& tokenizer, const std::vector<Token>& tokens) {
    Detokenizer detokenizer(tokenizer, false);
    std::string text;
    for (const Token token : tokens) text += detokenizer.push(token);
    return text + detokenizer.flush();
}

void check_case(const Tokenizer& tokenizer, const nlohmann::json& expected) {
    const auto text = expected.at("text").get<std::string>();
    const auto ids = expected.at("ids").get<std::vector<Token>>();
    INFO("text " << expected.at("text").dump(-1, ' ', true));
    const auto tokens = tokenizer.encode(text, true);
    const auto plain = tokenizer.encode(text, false);
    REQUIRE(tokens.has_value());
    REQUIRE(plain.has_value());
    CHECK(*tokens == ids);
    CHECK(*plain == expected.at("ids_plain").get<std::vector<Token>>());
    CHECK(tokenizer.decode(ids, false) == expected.at("decoded").get<std::string>());
    CHECK(tokenizer.decode(ids, true) == expected.at("decoded_plain").get<std::string>());
    CHECK(streamed(tokenizer, ids) == expected.at("decoded").get<std::string>());
}

}  // namespace

TEST_CASE("ids and text equal the reference", "[golden][tokenizer]") {
    const std::string name = GENERATE("gpt2", "llama3", "qwen2", "steps");
    INFO("tokenizer " << name);
    const auto tokenizer = Tokenizer::load(kData + name + ".json");
    INFO(tokenizer.status().to_string());
    REQUIRE(tokenizer.has_value());
    const auto cases = nlohmann::json::parse(std::ifstream(kData + name + ".cases.json"));
    REQUIRE(cases.size() > 200);
    for (const auto& expected : cases) check_case(**tokenizer, expected);
}
