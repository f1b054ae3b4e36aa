#pragma once

#include <cstdint>
#include <span>

#include <molink/types.h>

// A model whose right answer is known. A position's hidden value starts from its token; every layer
// stores a value for the position and then folds the values of all positions up to it, read through
// the block table; logits are made from the last value. A wrong table, a stale page, a lost or
// doubled part changes what comes out.
namespace molink {

inline constexpr std::int32_t kFoldVocabulary = 96;
inline constexpr Token kFoldEos = 95;

std::uint64_t fold_embed(Token token);
/// What layer `layer` stores for `position`.
std::uint64_t fold_slot(std::uint64_t hidden, std::int32_t layer, std::int32_t position);
/// Adds a stored value to a layer's sum.
std::uint64_t fold_add(std::uint64_t sum, std::uint64_t slot, std::int32_t position);
/// Logits [kFoldVocabulary] of a last hidden value.
void fold_logits(std::uint64_t hidden, std::span<float> logits);

}  // namespace molink
