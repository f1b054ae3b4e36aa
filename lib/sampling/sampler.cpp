// Token selection on the last stage. The draw must be the same on every machine, so exp is our own
// (range reduction and a Taylor polynomial in double; only IEEE add and multiply), sums run in
// vocabulary order, and the random number is keyed by (seed, position) instead of taken from a
// stream. The vocabulary is walked in blocks: the first pass keeps one sum per block, so that the
// second looks into the one block that holds the drawn point. Relies on -ffp-contract=off.
#include "sampling/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/hash.h"
#include "base/random.h"

namespace molink {
namespace {

constexpr std::size_t kBlockTokens = 256;
/// exp() of anything smaller is not a normal double; such a token's share is zero.
constexpr double kLeastExponent = -708.0;

/// e^x for x <= 0 with a relative error below 1e-15; 0 below kLeastExponent. Without branches or
/// calls, so that the compiler can take several logits at once. Adding 1.5 * 2^52 rounds to an
/// integer and leaves it in the low bits.
inline double portable_exp(double x) {
    constexpr double kLog2E = 1.4426950408889634;
    constexpr double kLn2High = 6.93147180369123816490e-01;
    constexpr double kLn2Low = 1.90821492927058770002e-10;
    constexpr double kRound = 0x1.8p52;
    const double clamped = x < kLeastExponent ? kLeastExponent : x;
    const double rounded = clamped * kLog2E + kRound;
    const double n = rounded - kRound;
    const double r = (clamped - n * kLn2High) - n * kLn2Low;
    double sum = 1.0 / 479001600;
    sum = sum * r + 1.0 / 39916800;
    sum = sum * r + 1.0 / 3628800;
    sum = sum * r + 1.0 / 362880;
    sum = sum * r + 1.0 / 40320;
    sum = sum * r + 1.0 / 5040;
    sum = sum * r + 1.0 / 720;
    sum = sum * r + 1.0 / 120;
    sum = sum * r + 1.0 / 24;
    sum = sum * r + 1.0 / 6;
    sum = sum * r + 0.5;
    sum = sum * r + 1.0;
    sum = sum * r + 1.0;
    const double power =
        std::bit_cast<double>((std::bit_cast<std::uint64_t>(rounded) + 1023) << 52);
    const double value = sum * power;
    return x < kLeastExponent ? 0.0 : value;
}

/// Index of the largest logit, the lowest among equals; -1 when all are NaN.
std::int64_t largest(std::span<const float> logits) {
    std::int64_t best = -1;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const bool wins =
            best < 0 ? !std::isnan(logits[i]) : logits[i] > logits[static_cast<std::size_t>(best)];
        if (wins) best = static_cast<std::int64_t>(i);
    }
    return best;
}

/// Unnormalised probabilities: exp((logit - largest) / temperature).
class Weights {
public:
    Weights(std::span<const float> logits, float peak, double temperature)
        : logits_(logits), peak_(peak), temperature_(temperature) {}

    std::size_t block_count() const { return (logits_.size() + kBlockTokens - 1) / kBlockTokens; }
    std::size_t block_begin(std::size_t block) const { return block * kBlockTokens; }

    /// Computes the weights of one block into `out`; returns how many there are.
    std::size_t block(std::size_t index, std::array<double, kBlockTokens>& out) const {
        const std::size_t begin = block_begin(index);
        const std::size_t count = std::min(kBlockTokens, logits_.size() - begin);
        for (std::size_t i = 0; i < count; ++i) out[i] = weight(logits_[begin + i]);
        return count;
    }

private:
    /// Equals of the peak weigh 1, which also settles infinities; a NaN weighs nothing.
    double weight(float logit) const {
        const double value =
            portable_exp((static_cast<double>(logit) - static_cast<double>(peak_)) / temperature_);
        const double finite = logit > -std::numeric_limits<float>::infinity() ? value : 0.0;
        return logit == peak_ ? 1.0 : finite;
    }

    std::span<const float> logits_;
    float peak_;
    double temperature_;
};

/// The token where the running sum, from `start`, passes `target`; the last one with any weight
/// when rounding leaves the sum just below it.
std::size_t pick_in_block(std::span<const double> weights, double start, double target) {
    double running = start;
    std::size_t last = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        if (weights[i] <= 0) continue;
        running += weights[i];
        if (running > target) return i;
        last = i;
    }
    return last;
}

/// Inverse of the cumulative distribution at `u` in [0, 1).
std::size_t draw(const Weights& weights, double u) {
    std::array<double, kBlockTokens> block;
    std::vector<double> sums(weights.block_count());
    double total = 0;
    for (std::size_t b = 0; b < sums.size(); ++b) {
        const std::size_t count = weights.block(b, block);
        for (std::size_t i = 0; i < count; ++i) sums[b] += block[i];
        total += sums[b];
    }
    const double target = u * total;
    double before = 0;
    double start = 0;
    std::size_t chosen = 0;
    for (std::size_t b = 0; b < sums.size(); ++b) {
        if (sums[b] <= 0) continue;
        chosen = b;
        start = before;
        before += sums[b];
        if (before > target) break;
    }
    const std::size_t count = weights.block(chosen, block);
    return weights.block_begin(chosen) +
           pick_in_block(std::span(block.data(), count), start, target);
}

}  // namespace

Token sample_token(std::span<const float> logits, const SamplerState& state,
                   std::int64_t position) {
    const std::int64_t best = largest(logits);
    if (best < 0) return 0;
    const bool greedy = !(state.temperature > 0);
    if (greedy) return static_cast<Token>(best);
    const Weights weights(logits, logits[static_cast<std::size_t>(best)], state.temperature);
    const double u = unit_double(counter_random(state.seed, static_cast<std::uint64_t>(position)));
    return static_cast<Token>(draw(weights, u));
}

std::uint64_t hash_logits(std::span<const float> logits) {
    return hash_bytes(std::as_bytes(logits));
}

}  // namespace molink
