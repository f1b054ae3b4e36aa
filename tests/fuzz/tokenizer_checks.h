#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace molink::fuzz {

/// What holds for any text on any tokenizer: ids within the vocabulary, the same answer twice, a
/// refusal of what is no UTF-8 and of nothing else but what the header names. True when `text` has
/// tokens.
bool check_encode(const Tokenizer& tokenizer, std::string_view text, std::vector<Token>& tokens);

/// What holds for any ids, known or not: text is UTF-8, and token by token it is the same text.
void check_decode(const Tokenizer& tokenizer, std::span<const Token> tokens);

}  // namespace molink::fuzz
