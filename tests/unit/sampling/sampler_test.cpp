// The sampler: ties and odd logits of greedy sampling, the distribution of draws compared with a
// softmax in long double, and tokens that depend only on logits, temperature, seed and position.
#include "sampling/sampler.h"

#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace molink {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

Token greedy(const std::vector<float>& logits) {
    return sample_token(logits, {}, 0);
}

std::vector<float> random_logits(std::size_t count, std::uint64_t seed, double scale = 4) {
    Random random(seed);
    std::vector<float> logits(count);
    for (float& logit : logits) logit = static_cast<float>((random.uniform() - 0.5) * scale);
    return logits;
}

std::vector<double> softmax(const std::vector<float>& logits, float temperature) {
    long double total = 0;
    std::vector<long double> weights;
    for (const float logit : logits) {
        weights.push_back(std::exp(static_cast<long double>(logit) / temperature));
        total += weights.back();
    }
    std::vector<double> out;
    for (const long double weight : weights) out.push_back(static_cast<double>(weight / total));
    return out;
}

std::vector<int> draw_many(const std::vector<float>& logits, const SamplerState& state, int draws) {
    std::vector<int> counts(logits.size());
    for (int position = 0; position < draws; ++position) {
        ++counts[static_cast<std::size_t>(sample_token(logits, state, position))];
    }
    return counts;
}

double chi_square(const std::vector<int>& counts, const std::vector<double>& shares, int draws) {
    double sum = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const double expected = shares[i] * draws;
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return sum;
}

}  // namespace

TEST_CASE("greedy picks the largest logit, and the lowest id among equals") {
    CHECK(greedy({1, 3, 2}) == 1);
    CHECK(greedy({1, 3, 3}) == 1);
    CHECK(greedy({-5, -5, -5}) == 0);
    CHECK(greedy({-0.0f, 0.0f}) == 0);
    CHECK(greedy({7}) == 0);
}

TEST_CASE("logits that are NaN are never picked") {
    CHECK(greedy({kNan, 1, 2}) == 2);
    CHECK(greedy({2, kNan, 1}) == 0);
    CHECK(greedy({kNan, -kInf}) == 1);
    CHECK(greedy({kNan, kNan}) == 0);
    CHECK(greedy({1, kInf, kInf}) == 1);
    const std::vector<float> logits = {kNan, 1, -kInf, 2, kNan};
    const auto counts = draw_many(logits, {1.0f, 5}, 2000);
    CHECK(counts[0] + counts[2] + counts[4] == 0);
    CHECK(counts[1] > 0);
    CHECK(counts[3] > counts[1]);
    CHECK(sample_token(std::vector<float>{kNan, kNan}, {1.0f, 5}, 3) == 0);
}

TEST_CASE("equal infinite logits are drawn with equal probability") {
    const std::vector<float> high = {1, kInf, 2, kInf};
    const auto counts = draw_many(high, {0.7f, 1}, 2000);
    CHECK(counts[0] + counts[2] == 0);
    CHECK(counts[1] > 900);
    CHECK(counts[3] > 900);
    const auto low = draw_many({-kInf, kNan, -kInf}, {0.7f, 1}, 2000);
    CHECK(low[1] == 0);
    CHECK(low[0] > 900);
    CHECK(low[2] > 900);
}

TEST_CASE("draws follow the softmax") {
    // The 99.99 % quantile of chi-square with k degrees of freedom is about k + 3.72 sqrt(2k) + 9.
    constexpr int kDraws = 50'000;
    for (const float temperature : {0.5f, 1.0f, 2.0f, 100.0f}) {
        for (const std::size_t count : {std::size_t{2}, std::size_t{17}, std::size_t{700}}) {
            const auto logits = random_logits(count, count, 3);
            const auto counts = draw_many(logits, {temperature, 11}, kDraws);
            const double k = static_cast<double>(count) - 1;
            INFO("temperature " << temperature << ", vocabulary " << count);
            CHECK(chi_square(counts, softmax(logits, temperature), kDraws) <
                  k + 3.72 * std::sqrt(2 * k) + 9);
        }
    }
}

TEST_CASE("the chi-square test detects a wrong temperature") {
    constexpr int kDraws = 50'000;
    const auto logits = random_logits(17, 17, 3);
    const auto counts = draw_many(logits, {1.0f, 11}, kDraws);
    CHECK(chi_square(counts, softmax(logits, 1.1f), kDraws) > 60);
}

TEST_CASE("extreme temperatures are greedy or uniform") {
    const auto logits = random_logits(1000, 3);
    const Token best = greedy(logits);
    for (const float cold : {1e-6f, 1e-30f, std::numeric_limits<float>::denorm_min()}) {
        for (int position = 0; position < 50; ++position) {
            CHECK(sample_token(logits, {cold, 1}, position) == best);
        }
    }
    CHECK(sample_token(logits, {-1.0f, 1}, 0) == best);
    CHECK(sample_token(logits, {kNan, 1}, 0) == best);
    const auto hot = draw_many({1, -kInf, 2}, {std::numeric_limits<float>::max(), 1}, 2000);
    CHECK(hot[0] > 850);
    CHECK(hot[1] == 0);
    CHECK(hot[2] > 850);
    const auto wide = draw_many({3e38f, -3e38f}, {1.0f, 1}, 100);
    CHECK(wide[0] == 100);
}

TEST_CASE("a token depends only on seed and position") {
    const auto logits = random_logits(500, 8, 1);
    int same_position = 0;
    int same_seed = 0;
    for (int i = 0; i < 200; ++i) {
        const Token token = sample_token(logits, {1.0f, 77}, i);
        CHECK(token == sample_token(logits, {1.0f, 77}, i));
        if (token == sample_token(logits, {1.0f, 77}, i + 1)) ++same_seed;
        if (token == sample_token(logits, {1.0f, 78}, i)) ++same_position;
    }
    CHECK(same_seed < 10);
    CHECK(same_position < 10);
}

TEST_CASE("the tokens of a seed never change") {
    const auto logits = random_logits(1000, 21, 6);
    std::vector<Token> tokens;
    for (int position = 0; position < 8; ++position) {
        tokens.push_back(sample_token(logits, {0.8f, 1234}, position));
    }
    CHECK(tokens == std::vector<Token>{517, 433, 41, 872, 989, 78, 491, 782});
}

TEST_CASE("the hash of a row depends on every bit") {
    std::vector<float> logits = random_logits(129, 2);
    const std::uint64_t before = hash_logits(logits);
    CHECK(hash_logits(logits) == before);
    logits[128] = std::nextafterf(logits[128], 100.0f);
    CHECK(hash_logits(logits) != before);
    CHECK(hash_logits(std::vector<float>{0.0f}) != hash_logits(std::vector<float>{-0.0f}));
}

}  // namespace molink
