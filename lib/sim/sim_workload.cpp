// Makes the requests of a simulation. Prompts share beginnings, or continue what a running request
// has produced so far, so that the prefix cache meets blocks in every state. Stop strings are cut
// out of the text that the oracle expects, so that they occur.
#include "sim/sim_workload.h"

#include <algorithm>

#include "sim/fold.h"

namespace molink::sim {
namespace {

/// Returns the first code point boundary at or after `at`.
std::size_t boundary(const std::string& text, std::size_t at) {
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0u) == 0x80u) ++at;
    return at;
}

}  // namespace

std::vector<PlannedRequest> plan_requests(const SimScenario& scenario) {
    Random random(scenario.seed ^ 0x706c616e);
    std::vector<PlannedRequest> planned;
    for (std::int32_t i = 0; i < scenario.workload.requests; ++i) {
        PlannedRequest request;
        const auto spread = static_cast<std::uint64_t>(scenario.workload.spread_us) + 1;
        request.arrival_us =
            scenario.workload.begin_us + static_cast<std::int64_t>(random.below(spread));
        if (random.uniform() < scenario.workload.cancelled) {
            request.cancel_after_us = static_cast<std::int64_t>(random.below(spread / 2 + 1));
        }
        planned.push_back(request);
    }
    std::sort(planned.begin(), planned.end(),
              [](const auto& a, const auto& b) { return a.arrival_us < b.arrival_us; });
    return planned;
}

RequestMaker::RequestMaker(const SimScenario& scenario)
    : scenario_(scenario), random_(scenario.seed ^ 0x776f726b) {
    const auto longest = static_cast<std::uint64_t>(scenario.workload.max_prompt);
    for (int i = 0; i < 3; ++i) beginnings_.push_back(draw_tokens(1 + random_.below(longest)));
}

std::int32_t RequestMaker::between(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(
                     random_.below(static_cast<std::uint64_t>(std::max(high - low, 0)) + 1));
}

std::vector<Token> RequestMaker::draw_tokens(std::size_t count) {
    std::vector<Token> tokens(count);
    for (Token& token : tokens) token = static_cast<Token>(random_.below(kFoldEos));
    return tokens;
}

std::vector<Token> RequestMaker::draw_prompt(const std::vector<Token>& so_far) {
    const SimWorkload& workload = scenario_.workload;
    const auto most = static_cast<std::size_t>(workload.max_prompt);
    std::vector<Token> prompt;
    if (!so_far.empty()) {
        prompt = so_far;
    } else if (random_.uniform() < workload.shared_prefix) {
        const auto& beginning = beginnings_[random_.below(beginnings_.size())];
        prompt.assign(beginning.begin(),
                      beginning.end() - static_cast<std::ptrdiff_t>(random_.below(2)));
    }
    const auto more =
        draw_tokens(static_cast<std::size_t>(between(workload.min_prompt, workload.max_prompt)));
    prompt.insert(prompt.end(), more.begin(), more.end());
    if (so_far.empty() && prompt.size() > most) prompt.resize(most);
    const auto room =
        static_cast<std::size_t>(std::max(scenario_.max_context - workload.max_output, 1));
    if (prompt.size() > room) prompt.resize(room);
    return prompt;
}

void RequestMaker::draw_sampling(SamplingParams& params) {
    const auto one_of = [&](std::uint64_t n) { return random_.below(n) == 0; };
    if (!one_of(4)) params.temperature = static_cast<float>(0.2 + random_.uniform() * 2);
    if (one_of(3)) params.top_k = between(1, 40);
    if (one_of(3)) params.top_p = static_cast<float>(0.1 + random_.uniform() * 0.9);
    if (one_of(4)) params.min_p = static_cast<float>(random_.uniform() * 0.5);
    if (one_of(3)) params.repetition_penalty = static_cast<float>(0.5 + random_.uniform() * 1.5);
    if (one_of(3)) params.presence_penalty = static_cast<float>(random_.uniform() * 4 - 2);
    if (one_of(3)) params.frequency_penalty = static_cast<float>(random_.uniform() * 4 - 2);
    if (one_of(4)) {
        for (Token token = between(0, 20); token < kFoldVocabulary; token += between(5, 40)) {
            params.logit_bias.push_back({token, one_of(4) ? -100.0f : 1.5f});
        }
    }
}

void RequestMaker::draw_stops(GenerateRequest& request) {
    const std::string text = expect(request, 0, {scenario_.layers, scenario_.overflows}).text;
    const auto count = 1 + random_.below(3);
    for (std::uint64_t i = 0; i < count && !text.empty(); ++i) {
        const std::size_t begin = boundary(text, random_.below(text.size()));
        const std::size_t end = boundary(text, begin + 1 + random_.below(6));
        const std::string stop = text.substr(begin, end - begin);
        if (!stop.empty()) request.stop.push_back(stop);
    }
}

GenerateRequest RequestMaker::make(const std::vector<Token>& so_far) {
    const SimWorkload& workload = scenario_.workload;
    GenerateRequest request;
    request.prompt_tokens = draw_prompt(so_far);
    request.max_tokens = between(workload.min_output, workload.max_output);
    request.ignore_eos = random_.below(3) == 0;
    request.sampling.seed = random_.next();
    if (random_.uniform() < workload.several) request.n = between(2, 3);
    if (random_.uniform() < workload.sampled) {
        draw_sampling(request.sampling);
        if (random_.below(4) == 0) request.min_tokens = between(0, request.max_tokens);
        if (random_.below(4) == 0) request.stop_tokens = draw_tokens(1 + random_.below(4));
        if (random_.below(4) == 0) request.logprobs = between(0, 5);
    }
    request.hash_logits = random_.uniform() < workload.hashed;
    if (random_.uniform() < workload.stop_strings) draw_stops(request);
    return request;
}

}  // namespace molink::sim
