// Checks the promises of tokenizer.h and detokenizer.h that need no reference implementation.
#include "tokenizer_checks.h"

#include "fuzz_input.h"
#include "tokenizer/detokenizer.h"

namespace molink::fuzz {

bool check_encode(const Tokenizer& tokenizer, std::string_view text, std::vector<Token>& tokens) {
    const auto plain = tokenizer.encode(text, false);
    const auto wrapped = tokenizer.encode(text, true);
    FUZZ_CHECK(plain.has_value() == wrapped.has_value());
    if (!plain) {
        const StatusCode code = plain.error().code();
        FUZZ_CHECK(code == StatusCode::invalid_argument || code == StatusCode::resource_exhausted);
        return false;
    }
    FUZZ_CHECK(is_utf8(text));
    for (const Token token : *wrapped) {
        FUZZ_CHECK(token >= 0 && token < tokenizer.vocabulary_size());
    }
    FUZZ_CHECK(wrapped->size() >= plain->size());
    const auto again = tokenizer.encode(text, false);
    FUZZ_CHECK(again.has_value() && *again == *plain);
    tokens = *plain;
    return true;
}

void check_decode(const Tokenizer& tokenizer, std::span<const Token> tokens) {
    for (const bool skip_special : {false, true}) {
        const std::string whole = tokenizer.decode(tokens, skip_special);
        FUZZ_CHECK(is_utf8(whole));
        Detokenizer stream(tokenizer, skip_special);
        std::string pieces;
        for (const Token token : tokens) {
            const std::string piece = stream.push(token);
            FUZZ_CHECK(is_utf8(piece));
            pieces += piece;
        }
        pieces += stream.flush();
        FUZZ_CHECK(pieces == whole);
    }
}

}  // namespace molink::fuzz
