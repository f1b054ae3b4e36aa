// Options that change logits or drop tokens: bias, penalties, forbidden tokens, ties at a limit,
// and filters that drop nothing.
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "base/random.h"
#include "sampling/sampler.h"
#include "support/catch.h"

using namespace molink;

namespace {

std::vector<float> random_logits(std::size_t count, std::uint64_t seed) {
    Random random(seed);
    std::vector<float> logits(count);
    for (float& logit : logits) logit = static_cast<float>(random.uniform() * 12 - 6);
    return logits;
}

std::set<Token> drawn(const std::vector<float>& logits, const SamplerState& state) {
    std::set<Token> tokens;
    for (int i = 0; i < 4000; ++i) tokens.insert(sample_token(logits, state, i));
    return tokens;
}

TokenHistory history_of(const std::vector<Token>& tokens, std::size_t prompt) {
    TokenHistory history;
    history.advance(tokens, tokens.size(), prompt);
    return history;
}

}  // namespace

TEST_CASE("penalties count the output, and that of repetition also the prompt") {
    const std::vector<float> plain{2, -2, 1, 1, 1};
    SamplingParams params;
    params.repetition_penalty = 2;
    params.presence_penalty = 0.5f;
    params.frequency_penalty = 0.25f;
    std::vector<float> logits = plain;
    adjust_logits(logits, params, history_of({0, 1, 2, 2, 2, 3}, 2), {});
    CHECK(logits[0] == 1.0f);                     // in the prompt: repetition only
    CHECK(logits[1] == -4.0f);                    // a negative logit decreases, too
    CHECK(logits[2] == 0.5f - 0.5f - 3 * 0.25f);  // three times in the output
    CHECK(logits[3] == 0.5f - 0.5f - 0.25f);
    CHECK(logits[4] == 1.0f);  // in neither
}

TEST_CASE("the history does not depend on the steps in which it grows") {
    const std::vector<Token> tokens{5, 5, 6, 7, 5, 6};
    TokenHistory stepwise;
    for (std::size_t end : {1u, 3u, 3u, 6u}) stepwise.advance(tokens, end, 2);
    REQUIRE(stepwise.counts() == history_of(tokens, 2).counts());
    REQUIRE(stepwise.counts().at(5) == 1);
    REQUIRE(stepwise.counts().at(6) == 2);
}

TEST_CASE("bias changes a logit, a bias of -100 and the list of forbidden tokens remove a token") {
    std::vector<float> logits{1, 2, 3};
    SamplingParams params;
    params.logit_bias = {{0, 5}, {2, -100}, {7, 1}};
    const std::vector<Token> forbidden{1, 99};
    adjust_logits(logits, params, TokenHistory(), forbidden);
    CHECK(logits[0] == 6);
    CHECK(std::isinf(logits[1]));
    CHECK(std::isinf(logits[2]));
    CHECK(drawn(logits, {1.0f, 3}) == std::set<Token>{0});
}

TEST_CASE("top_k keeps exactly k tokens, and the lowest ids among equals") {
    const std::vector<float> logits{1, 2, 2, 2, 0};
    for (std::int32_t k = 1; k <= 4; ++k) {
        SamplerState state{1.0f, 9};
        state.top_k = k;
        const std::set<Token> order[] = {{1}, {1, 2}, {1, 2, 3}, {0, 1, 2, 3}};
        CHECK(drawn(logits, state) == order[k - 1]);
    }
}

TEST_CASE("top_p keeps the token that reaches the sum, and at least one token") {
    const std::vector<float> logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
    SamplerState state{1.0f, 9};
    state.top_p = 0.49f;
    CHECK(drawn(logits, state) == std::set<Token>{0});
    state.top_p = 0.51f;
    CHECK(drawn(logits, state) == std::set<Token>{0, 1});
    state.top_p = 0.81f;
    CHECK(drawn(logits, state) == std::set<Token>{0, 1, 2});
    state.top_p = 1e-9f;
    CHECK(drawn(logits, state) == std::set<Token>{0});
}

TEST_CASE("filters that drop nothing give the same draw") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        const std::vector<float> logits = random_logits(1000, seed);
        SamplerState all{1.0f, seed};
        all.top_k = 1000;
        for (int position = 0; position < 20; ++position) {
            CHECK(sample_token(logits, all, position) ==
                  sample_token(logits, {1.0f, seed}, position));
        }
    }
}

TEST_CASE("rows with NaN and infinity do not break the filters") {
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const float nan = std::numeric_limits<float>::quiet_NaN();
    SamplerState state{1.0f, 5, 2, 0.5f, 0.1f};
    CHECK(sample_token(std::vector<float>{nan, nan}, state, 1) == 0);
    CHECK(sample_token(std::vector<float>{-kInf, -kInf, 1}, state, 1) == 2);
    CHECK(sample_token(std::vector<float>{kInf, 1, nan}, state, 1) == 0);
    CHECK(sample_token(std::vector<float>{-kInf, -kInf}, state, 1) >= 0);
    const TokenLogprobs none = log_probabilities(std::vector<float>{nan, nan}, 0, 2);
    CHECK(std::isinf(none.logprob));
    CHECK(none.top.empty());
}
