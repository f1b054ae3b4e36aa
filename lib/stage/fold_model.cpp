// The arithmetic of the fold model. Everything goes through mix64, so that any change of an input
// changes about half of the bits of the result. Logits stay within [-4, 4), so that sampling at
// usual temperatures has several likely tokens.
#include "stage/fold_model.h"

#include <algorithm>
#include <limits>

#include "base/random.h"

namespace molink {
namespace {

constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15ull;

}  // namespace

std::uint64_t fold_embed(Token token) {
    return mix64(static_cast<std::uint64_t>(token) + 1);
}

std::uint64_t fold_slot(std::uint64_t hidden, std::int32_t layer, std::int32_t position) {
    if (hidden == kFoldNan) return kFoldNan;
    return mix64(hidden ^ (static_cast<std::uint64_t>(layer) * 1000003u +
                           static_cast<std::uint64_t>(position) * kStep));
}

std::uint64_t fold_add(std::uint64_t sum, std::uint64_t slot, std::int32_t position) {
    if (sum == kFoldNan || slot == kFoldNan) return kFoldNan;
    return sum + mix64(slot + static_cast<std::uint64_t>(position) * kStep);
}

std::uint64_t fold_overflow(std::uint64_t hidden, double share) {
    if (share <= 0) return hidden;
    const double drawn = static_cast<double>(mix64(hidden ^ kStep) >> 11) * 0x1.0p-53;
    return drawn < share ? kFoldNan : hidden;
}

void fold_logits(std::uint64_t hidden, std::span<float> logits) {
    if (hidden == kFoldNan) {
        std::fill(logits.begin(), logits.end(), std::numeric_limits<float>::quiet_NaN());
        return;
    }
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const std::uint64_t bits = mix64(hidden + (i + 1) * kStep);
        logits[i] = static_cast<float>(bits >> 40) * 0x1.0p-21f - 4.0f;
    }
}

}  // namespace molink
