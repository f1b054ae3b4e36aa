#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <molink/request.h>
#include <molink/types.h>

#include "tokenizer/tokenizer.h"

// A model whose right answer is known. A position's hidden value starts from its token; every layer
// stores a value for the position and then folds the values of all positions up to it, read through
// the block table; logits are made from the last value. A wrong table, a stale page, a lost or
// doubled part changes what comes out.
namespace molink::sim {

inline constexpr std::int32_t kFoldVocabulary = 96;
inline constexpr Token kFoldEos = 95;

std::uint64_t fold_embed(Token token);
/// What layer `layer` stores for `position`.
std::uint64_t fold_slot(std::uint64_t hidden, std::int32_t layer, std::int32_t position);
/// Adds a stored value to a layer's sum.
std::uint64_t fold_add(std::uint64_t sum, std::uint64_t slot, std::int32_t position);
/// Logits [kFoldVocabulary] of a last hidden value.
void fold_logits(std::uint64_t hidden, std::span<float> logits);

/// A byte-level tokenizer of kFoldVocabulary tokens; some are halves of a character.
const Tokenizer& fold_tokenizer();

/// What one completion must give when nothing goes wrong.
struct Expected {
    std::vector<Token> tokens;
    std::string text;
    FinishReason reason = FinishReason::none;
    std::vector<std::uint64_t> logit_hashes;  ///< [positions]
};

/// Computes it without pipeline, blocks or parts. `index`: of the completion.
Expected expect(const GenerateRequest& request, std::int32_t index, std::int32_t layers);

}  // namespace molink::sim
