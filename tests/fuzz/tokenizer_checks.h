#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace molink::fuzz {

/// Checks what holds for any text on any tokenizer: ids are within the vocabulary, equal calls give
/// equal results, and accepted text is UTF-8. Fills in `tokens` without special tokens. Returns
/// false when the text is refused.
bool check_encode(const Tokenizer& tokenizer, std::string_view text, std::vector<Token>& tokens);

/// Checks what holds for any ids, known or not: their text is UTF-8, also token by token, and both
/// texts are equal.
void check_decode(const Tokenizer& tokenizer, std::span<const Token> tokens);

}  // namespace molink::fuzz
