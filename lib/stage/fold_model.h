#pragma once

#include <cstdint>
#include <span>

#include <molink/types.h>

// A model whose right answer is known. The hidden value of a position starts from its token. Each
// layer stores a value for the position and then folds the values of all positions up to it, read
// through the block table. Logits are made from the value after the last layer. A wrong table, a
// stale page, and a lost or doubled part change the result.
namespace molink {

inline constexpr std::int32_t kFoldVocabulary = 96;
inline constexpr Token kFoldEos = 95;
/// The hidden or stored value that stands for NaN: what is computed from it is also kFoldNan.
inline constexpr std::uint64_t kFoldNan = ~std::uint64_t{0};

std::uint64_t fold_embed(Token token);
/// Returns the value that layer `layer` stores for `position`.
std::uint64_t fold_slot(std::uint64_t hidden, std::int32_t layer, std::int32_t position);
/// Returns a layer's sum with the stored value of `position` added.
std::uint64_t fold_add(std::uint64_t sum, std::uint64_t slot, std::int32_t position);
/// Returns the value after a layer: kFoldNan for `share` of all values, otherwise `hidden`. Which
/// ones follows from the value alone, like the rows at which the weights of a real model overflow.
std::uint64_t fold_overflow(std::uint64_t hidden, double share);
/// Writes the logits [kFoldVocabulary] of a hidden value after the last layer.
void fold_logits(std::uint64_t hidden, std::span<float> logits);

}  // namespace molink
