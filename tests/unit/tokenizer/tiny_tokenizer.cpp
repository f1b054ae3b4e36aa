// Makes the smallest complete tokenizer file, with all bytes and a few merges. It is made from text
// and not stored as a file, so that each test shows what it changes.
#include "tiny_tokenizer.h"

#include <fmt/format.h>

#include "support/catch.h"
#include "tokenizer/byte_level.h"

namespace molink::test {
namespace {

std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

}  // namespace

std::string TinyTokenizer::json() const {
    std::string vocabulary;
    std::string list;
    for (int byte = 0; byte < 256; ++byte) {
        const auto spelling = byte_level_spelling(static_cast<std::uint8_t>(byte));
        vocabulary += fmt::format("{}{}:{}", byte == 0 ? "" : ",", quoted(spelling), byte);
    }
    int id = 256;
    for (const std::string& merge : merges) {
        const std::size_t space = merge.find(' ');
        const std::string left = merge.substr(0, space);
        const std::string right = merge.substr(space + 1);
        vocabulary += fmt::format(",{}:{}", quoted(left + right), id++);
        if (!list.empty()) list += ',';
        list +=
            merges_as_pairs ? fmt::format("[{},{}]", quoted(left), quoted(right)) : quoted(merge);
    }
    return fmt::format(
        R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":{},"normalizer":{},)"
        R"("pre_tokenizer":{},"post_processor":{},"decoder":{},)"
        R"("model":{{"type":"BPE",{}"vocab":{{{}}},"merges":[{}]}}}})",
        added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model_options, vocabulary,
        list);
}

std::unique_ptr<Tokenizer> TinyTokenizer::make() const {
    auto tokenizer = Tokenizer::parse(json(), "tiny");
    INFO(tokenizer.status().to_string());
    REQUIRE(tokenizer.has_value());
    return std::move(tokenizer).value();
}

std::string added_token(Token id, const std::string& content, const std::string& flags) {
    return fmt::format(R"({{"id":{},"content":{}{}{}}})", id, quoted(content),
                       flags.empty() ? "" : ",", flags);
}

std::vector<Token> tokens_of(const Tokenizer& tokenizer, std::string_view text,
                             bool add_special_tokens) {
    auto tokens = tokenizer.encode(text, add_special_tokens);
    INFO(tokens.status().to_string());
    REQUIRE(tokens.has_value());
    return std::move(tokens).value();
}

}  // namespace molink::test
