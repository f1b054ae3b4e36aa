#pragma once

#include <string>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pretokenize.h"

namespace molink {

/// What a tokenizer file is made into, in the order in which text passes through.
struct TokenizerParts {
    AddedTokenFinder original_tokens;  ///< added tokens looked for in the text as given
    Normalizer normalizer;
    AddedTokenFinder normalized_tokens;  ///< those looked for behind the normaliser
    Pretokenizer pretokenizer;
    Bpe bpe{BpeModel{}};
    PostProcessor post_processor;

    std::vector<std::string> token_bytes;  ///< [vocabulary size], empty: unused id
    std::vector<bool> special;             ///< [vocabulary size]
};

}  // namespace molink
