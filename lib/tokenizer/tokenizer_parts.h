#pragma once

#include <string>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pretokenize.h"

namespace molink {

/// The parts of a tokenizer, in the order in which text passes through them.
struct TokenizerParts {
    AddedTokenFinder original_tokens;  ///< added tokens that are searched in the original text
    Normalizer normalizer;
    AddedTokenFinder normalized_tokens;  ///< those that are searched in the normalised text
    Pretokenizer pretokenizer;
    Bpe bpe{BpeModel{}};
    PostProcessor post_processor;

    std::vector<std::string> token_bytes;  ///< [vocabulary size], empty: unused id
    std::vector<bool> special;             ///< [vocabulary size]
};

}  // namespace molink
