// Parses what people copy and edit: access files, key files, join tokens and public keys. Whatever
// is accepted must mean the same when it is written and read again.
#include <algorithm>
#include <cctype>

#include "fuzz_input.h"
#include "security/access.h"
#include "security/key_file.h"

using namespace molink;

namespace {

void check_access(std::span<const TextLine> lines) {
    const auto list = AccessList::parse(lines);
    if (!list) {
        FUZZ_CHECK(list.error().code() == StatusCode::data_loss);
        return;
    }
    std::string again;
    for (const TextLine& line : lines) {
        const auto key = parse_public_key(line.words[1]);
        FUZZ_CHECK(key.has_value() && list->knows(*key));
        const AccessList::Token* token = list->find_token(*key, -1);
        if (line.words[0] == "key") {
            FUZZ_CHECK(list->access(*key, 0) == Access::member);
            again += permit_line(*key, line.words.size() > 2 ? line.words[2] : "") + "\n";
        } else if (token != nullptr) {
            again += token_line(*key, *token) + "\n";
        }
    }
    const auto read = parse_lines(again);
    FUZZ_CHECK(read.has_value() && AccessList::parse(*read).has_value());
}

void check_key_file(std::span<const TextLine> lines) {
    const auto file = parse_key_file(lines);
    if (!file) FUZZ_CHECK(file.error().code() == StatusCode::data_loss);
}

void check_words(std::string_view text) {
    std::string lower(text);
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (const auto key = parse_public_key(text)) FUZZ_CHECK(key_text(*key) == lower);
    if (const auto token = parse_token(text)) {
        const auto again = parse_token(token_text(*token));
        FUZZ_CHECK(again.has_value() && again->address == token->address &&
                   again->pass.public_key == token->pass.public_key);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = fuzz::FuzzInput(data, size).rest();
    check_words(text);
    const auto lines = parse_lines(text);
    if (!lines) {
        FUZZ_CHECK(lines.error().code() == StatusCode::data_loss);
        return 0;
    }
    check_access(*lines);
    check_key_file(*lines);
    return 0;
}
