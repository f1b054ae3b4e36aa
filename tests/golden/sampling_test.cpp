// Compares sampling with transformers: the sampler draws the tokens that its logits processors
// keep, with the same probabilities. Log-probabilities agree with torch. make_sampling_golden.py
// has written the cases.
#include <cmath>
#include <map>

#include "base/limits.h"
#include "loader/json_parse.h"
#include "sampling/sampler.h"
#include "support/catch.h"

using namespace molink;

namespace {

const std::string kCases =
    std::string(MOLINK_SOURCE_DIR) + "/tests/golden/data/sampling/cases.json";
constexpr int kDraws = 40'000;

struct Case {
    SamplingParams params;
    std::vector<float> logits;
    std::vector<Token> history;
    std::map<Token, double> kept;
    std::vector<double> logprobs;  // of every 13th token
};

std::vector<Case> read_cases() {
    const auto json = parse_json_file(kCases, limits::kMaxConfigFileBytes);
    REQUIRE(json.has_value());
    std::vector<Case> cases;
    for (const auto& item : *json) {
        Case one;
        const auto& options = item["options"];
        one.params.temperature = options.value("temperature", 1.0f);
        one.params.top_k = options.value("top_k", 0);
        one.params.top_p = options.value("top_p", 1.0f);
        one.params.min_p = options.value("min_p", 0.0f);
        one.params.repetition_penalty = options.value("repetition_penalty", 1.0f);
        one.logits = item["logits"].get<std::vector<float>>();
        one.history = item["history"].get<std::vector<Token>>();
        for (const auto& [token, share] : item["kept"].items()) {
            one.kept[std::stoi(token)] = share.get<double>();
        }
        one.logprobs = item["logprobs"].get<std::vector<double>>();
        cases.push_back(std::move(one));
    }
    return cases;
}

std::map<Token, int> draw(const Case& one) {
    TokenHistory history;
    history.advance(one.history, one.history.size(), one.history.size());
    std::vector<float> logits = one.logits;
    adjust_logits(logits, one.params, history, {});
    const SamplerState state{one.params.temperature, 20261123, one.params.top_k, one.params.top_p,
                             one.params.min_p};
    std::map<Token, int> counts;
    for (int i = 0; i < kDraws; ++i) ++counts[sample_token(logits, state, i)];
    return counts;
}

}  // namespace

TEST_CASE("the sampler draws the tokens that transformers keeps, with its probabilities") {
    const std::vector<Case> cases = read_cases();
    REQUIRE(cases.size() == 20);
    for (std::size_t i = 0; i < cases.size(); ++i) {
        INFO("case " << i);
        const Case& one = cases[i];
        const std::map<Token, int> counts = draw(one);
        for (const auto& [token, count] : counts) {
            INFO("token " << token << " drawn " << count << " times");
            REQUIRE(one.kept.count(token) == 1);
        }
        for (const auto& [token, share] : one.kept) {
            INFO("token " << token << " has probability " << share);
            const double expected = share * kDraws;
            const auto found = counts.find(token);
            const double seen = found == counts.end() ? 0 : found->second;
            // At six standard deviations, one token in a billion fails by chance.
            REQUIRE(std::abs(seen - expected) <= 6 * std::sqrt(expected) + 6);
        }
    }
}

TEST_CASE("log-probabilities equal those of torch") {
    for (const Case& one : read_cases()) {
        for (std::size_t i = 0; i < one.logprobs.size(); ++i) {
            const auto token = static_cast<Token>(i * 13);
            const TokenLogprobs got = log_probabilities(one.logits, token, 5);
            REQUIRE(std::abs(got.logprob - one.logprobs[i]) <
                    2e-6 * (1 + std::abs(one.logprobs[i])));
            REQUIRE(got.top.size() == 5);
            for (std::size_t k = 1; k < 5; ++k) {
                REQUIRE(got.top[k - 1].logprob >= got.top[k].logprob);
            }
        }
    }
}
