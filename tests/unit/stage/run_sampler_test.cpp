// Rows that need only an argmax on the device get the same tokens as from the sampler.
#include "stage/run_sampler.h"

#include <vector>

#include "base/random.h"
#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::size_t kVocabulary = 19;

StageSequence sequence_of(const std::vector<Token>& tokens) {
    StageSequence sequence;
    sequence.open.id = SequenceId(1);
    sequence.open.prompt_count = 4;
    sequence.tokens = tokens;
    return sequence;
}

/// Returns the argmax of a row as Stream::argmax defines it.
Token argmax(const float* row) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < kVocabulary; ++i) {
        if (row[i] > row[best]) best = i;
    }
    return static_cast<Token>(best);
}

}  // namespace

TEST_CASE("greedy rows keep the drafts that sampling would keep") {
    Random random(11);
    std::vector<std::size_t> kept(5);
    for (int round = 0; round < 400; ++round) {
        const std::int32_t drafts = static_cast<std::int32_t>(random.below(4));
        const RowSpan span{SequenceId(1), 6, drafts + 1, drafts + 1};
        std::vector<float> logits(static_cast<std::size_t>(span.count) * kVocabulary);
        for (float& value : logits) value = static_cast<float>(random.below(6));  // many ties
        std::vector<Token> best;
        for (std::int32_t i = 0; i < span.count; ++i) {
            best.push_back(argmax(logits.data() + static_cast<std::size_t>(i) * kVocabulary));
        }
        std::vector<Token> tokens{1, 2, 3, 4, 5, 6, 7};
        for (std::int32_t i = 0; i < drafts; ++i) {
            const Token right = best[static_cast<std::size_t>(i)];
            tokens.push_back(random.below(3) == 0 ? right + 1 : right);
        }
        StageSequence sequence = sequence_of(tokens);
        REQUIRE(RunSampler::is_greedy(span, sequence));
        const SampledRows fast = RunSampler::keep_accepted(span, sequence, best);
        RunSampler sampler;
        const SampledRows slow = sampler.sample(span, sequence, logits);
        REQUIRE(fast == slow);
        REQUIRE(fast.position == 7);
        ++kept[fast.tokens.size()];
    }
    for (std::size_t count = 1; count < kept.size(); ++count) REQUIRE(kept[count] > 0);
}

TEST_CASE("a row that needs more than the largest logit is not greedy") {
    const RowSpan span{SequenceId(1), 6, 1, 1};
    const StageSequence plain = sequence_of({1, 2, 3, 4, 5, 6, 7});
    const std::vector<void (*)(SequenceOpen&)> needs{
        [](SequenceOpen& open) { open.hash_logits = true; },
        [](SequenceOpen& open) { open.logprobs = 0; },
        [](SequenceOpen& open) { open.sampling.temperature = 0.5f; },
        [](SequenceOpen& open) { open.sampling.repetition_penalty = 1.1f; },
        [](SequenceOpen& open) { open.sampling.presence_penalty = 0.1f; },
        [](SequenceOpen& open) { open.sampling.frequency_penalty = -0.1f; },
        [](SequenceOpen& open) {
            open.sampling.logit_bias = {{3, 1.0f}};
        },
        [](SequenceOpen& open) {
            open.min_tokens = 4;
            open.stop_tokens = {5};
        },
    };
    for (const auto& change : needs) {
        StageSequence sequence = plain;
        change(sequence.open);
        REQUIRE(!RunSampler::is_greedy(span, sequence));
    }
    StageSequence later = plain;
    later.open.min_tokens = 3;  // position 7 is the fourth token after the prompt
    later.open.stop_tokens = {5};
    REQUIRE(RunSampler::is_greedy(span, later));
}
