// Token selection on the stage with the LM head. The draw must be the same on every machine.
// Therefore exp is implemented here (range reduction and a Taylor polynomial in double, only IEEE
// add and multiply), sums run in vocabulary order, and the random number depends on (seed,
// position) instead of a stream. The vocabulary is read in blocks: the first pass keeps one sum per
// block, and the second pass reads only the block that holds the drawn point. Relies on
// -ffp-contract=off.
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
/// exp() of a smaller number is not a normal double. The share of such a token is zero.
constexpr double kLeastExponent = -708.0;

/// Returns e^x for x <= 0 with a relative error below 1e-15, or 0 below kLeastExponent. It has no
/// branches or calls, so that the compiler can vectorise it. Adding 1.5 * 2^52 rounds to an integer
/// and leaves it in the low bits.
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

/// Returns ln(x) for x >= 1 with an error below 1e-15, using only IEEE arithmetic. With x = 2^n m
/// and m in [0.7, 1.5): ln m = 2 atanh((m - 1) / (m + 1)).
double portable_log(double x) {
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
    auto n = static_cast<std::int64_t>(bits >> 52) - 1023;
    double m = std::bit_cast<double>((bits & 0xfffffffffffffull) | (std::uint64_t{1023} << 52));
    if (m > 1.4142135623730951) {
        m *= 0.5;
        ++n;
    }
    const double z = (m - 1) / (m + 1);
    const double zz = z * z;
    double sum = 0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * zz + 1.0 / k;
    constexpr double kLn2 = 0.6931471805599453;
    return static_cast<double>(n) * kLn2 + 2 * z * sum;
}

/// Returns the index of the largest logit, the lowest one among equal logits; -1 when all are NaN.
std::int64_t largest(std::span<const float> logits) {
    std::int64_t best = -1;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const bool wins =
            best < 0 ? !std::isnan(logits[i]) : logits[i] > logits[static_cast<std::size_t>(best)];
        if (wins) best = static_cast<std::int64_t>(i);
    }
    return best;
}

/// The least likely token that is kept. Tokens before it in the order of likelihood are also kept.
/// That order is by larger logit, and by lower id among equal logits.
struct Cut {
    float logit = -std::numeric_limits<float>::infinity();
    std::size_t id = std::numeric_limits<std::size_t>::max();
    bool keeps(float other, std::size_t other_id) const {
        return other > logit || (other == logit && other_id <= id);
    }
};

/// Unnormalised probabilities: exp((logit - largest) / temperature), or 0 for tokens that the cut
/// or `least` drops.
class Weights {
public:
    Weights(std::span<const float> logits, float peak, double temperature)
        : logits_(logits), peak_(peak), temperature_(temperature) {}

    void set_cut(const Cut& cut) { cut_ = cut; }
    void set_least(double least) { least_ = least; }

    std::size_t block_count() const { return (logits_.size() + kBlockTokens - 1) / kBlockTokens; }
    std::size_t block_begin(std::size_t block) const { return block * kBlockTokens; }

    /// Writes the weights of one block to `out` and returns their number.
    std::size_t block(std::size_t index, std::array<double, kBlockTokens>& out) const {
        const std::size_t begin = block_begin(index);
        const std::size_t count = std::min(kBlockTokens, logits_.size() - begin);
        for (std::size_t i = 0; i < count; ++i) out[i] = weight(logits_[begin + i]);
        if (cut_.id == Cut().id && least_ == 0) return count;
        for (std::size_t i = 0; i < count; ++i) {
            const bool keep = out[i] >= least_ && cut_.keeps(logits_[begin + i], begin + i);
            out[i] = keep ? out[i] : 0.0;
        }
        return count;
    }

    /// Returns the sum over the vocabulary, in its order.
    double total() const {
        std::array<double, kBlockTokens> values;
        double sum = 0;
        for (std::size_t b = 0; b < block_count(); ++b) {
            double block_sum = 0;
            const std::size_t count = block(b, values);
            for (std::size_t i = 0; i < count; ++i) block_sum += values[i];
            sum += block_sum;
        }
        return sum;
    }

    /// Returns 1 for logits equal to the peak, even if it is infinite, and 0 for NaN.
    double weight(float logit) const {
        const double value =
            portable_exp((static_cast<double>(logit) - static_cast<double>(peak_)) / temperature_);
        const double finite = logit > -std::numeric_limits<float>::infinity() ? value : 0.0;
        return logit == peak_ ? 1.0 : finite;
    }

private:
    std::span<const float> logits_;
    float peak_;
    double temperature_;
    Cut cut_;
    double least_ = 0;
};

/// Sorts ids by likelihood, as far as needed.
class Ranking {
public:
    explicit Ranking(std::span<const float> logits) : logits_(logits) {
        for (std::size_t i = 0; i < logits.size(); ++i) {
            if (!std::isnan(logits[i])) ids_.push_back(static_cast<std::uint32_t>(i));
        }
    }
    std::size_t size() const { return ids_.size(); }
    /// Brings the first `count` ids into order.
    void sort(std::size_t count) {
        count = std::min(count, ids_.size());
        if (count <= sorted_) return;
        const auto at = [&](std::size_t i) {
            return ids_.begin() + static_cast<std::ptrdiff_t>(i);
        };
        std::partial_sort(at(sorted_), at(count), ids_.end(),
                          [&](std::uint32_t a, std::uint32_t b) {
                              return logits_[a] > logits_[b] || (logits_[a] == logits_[b] && a < b);
                          });
        sorted_ = count;
    }
    std::uint32_t operator[](std::size_t i) const { return ids_[i]; }

private:
    std::span<const float> logits_;
    std::vector<std::uint32_t> ids_;
    std::size_t sorted_ = 0;
};

/// Restricts `weights` to the tokens that top_k, top_p and min_p keep.
void apply_filters(std::span<const float> logits, const SamplerState& state, float peak,
                   Weights& weights) {
    const bool by_count = state.top_k > 0 && static_cast<std::size_t>(state.top_k) < logits.size();
    const bool by_mass = state.top_p < 1;
    if (by_count || by_mass) {
        Ranking ranking(logits);
        const auto cut_after = [&](std::size_t count) {
            ranking.sort(count);
            const std::uint32_t id = ranking[count - 1];
            weights.set_cut({logits[id], id});
        };
        std::size_t most = ranking.size();
        if (by_count) {
            most = std::min(most, static_cast<std::size_t>(state.top_k));
            cut_after(most);
        }
        if (by_mass) {
            const double target = static_cast<double>(state.top_p) * weights.total();
            const Weights plain(logits, peak, state.temperature);
            double mass = 0;
            std::size_t kept = 0;
            while (kept < most && (kept == 0 || mass < target)) {
                if (kept % kBlockTokens == 0) ranking.sort(kept + kBlockTokens);
                mass += plain.weight(logits[ranking[kept]]);
                ++kept;
            }
            cut_after(kept);
        }
    }
    if (state.min_p > 0) weights.set_least(static_cast<double>(state.min_p));
}

/// Returns the token at which the running sum, from `start`, exceeds `target`. If rounding leaves
/// the sum just below it, returns the last token with a weight.
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

/// Returns the inverse of the cumulative distribution at `u` in [0, 1).
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
    const float peak = logits[static_cast<std::size_t>(best)];
    Weights weights(logits, peak, state.temperature);
    apply_filters(logits, state, peak, weights);
    const double u = unit_double(counter_random(state.seed, static_cast<std::uint64_t>(position)));
    return static_cast<Token>(draw(weights, u));
}

void adjust_logits(std::span<float> logits, const SamplingParams& params,
                   const TokenHistory& history, std::span<const Token> forbidden) {
    const auto inside = [&](Token token) {
        return token >= 0 && static_cast<std::size_t>(token) < logits.size();
    };
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    for (const LogitBias& item : params.logit_bias) {
        if (!inside(item.token)) continue;
        float& logit = logits[static_cast<std::size_t>(item.token)];
        logit = item.bias <= -100.0f ? kNever : logit + item.bias;
    }
    for (const auto& [token, count] : history.counts()) {
        if (!inside(token)) continue;
        float& logit = logits[static_cast<std::size_t>(token)];
        if (params.repetition_penalty != 1) {
            logit =
                logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
        }
        if (count == 0) continue;
        logit -= params.presence_penalty;
        logit -= params.frequency_penalty * static_cast<float>(count);
    }
    for (Token token : forbidden) {
        if (inside(token)) logits[static_cast<std::size_t>(token)] = kNever;
    }
}

TokenLogprobs log_probabilities(std::span<const float> logits, Token token,
                                std::int32_t top_count) {
    constexpr float kNever = -std::numeric_limits<float>::infinity();
    TokenLogprobs result;
    result.logprob = kNever;
    const std::int64_t best = largest(logits);
    if (best < 0) return result;
    const float peak = logits[static_cast<std::size_t>(best)];
    const double log_total = portable_log(Weights(logits, peak, 1).total());
    const auto logprob = [&](float logit) {
        if (logit == peak) return static_cast<float>(-log_total);
        if (!(logit > kNever)) return kNever;
        return static_cast<float>(static_cast<double>(logit) - static_cast<double>(peak) -
                                  log_total);
    };
    if (token >= 0 && static_cast<std::size_t>(token) < logits.size()) {
        result.logprob = logprob(logits[static_cast<std::size_t>(token)]);
    }
    if (top_count <= 0) return result;
    Ranking ranking(logits);
    const std::size_t count = std::min(static_cast<std::size_t>(top_count), ranking.size());
    ranking.sort(count);
    for (std::size_t i = 0; i < count; ++i) {
        result.top.push_back({static_cast<Token>(ranking[i]), logprob(logits[ranking[i]])});
    }
    return result;
}

std::uint64_t hash_logits(std::span<const float> logits) {
    return hash_bytes(std::as_bytes(logits));
}

}  // namespace molink
