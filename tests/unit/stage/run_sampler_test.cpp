// Rows that need only an argmax on the device get the same tokens as from the sampler.
#include "stage/run_sampler.h"

#include <cmath>
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
        SampledPart fast;
        RunSampler::keep_accepted(span, sequence, best, fast);
        RunSampler sampler;
        SampledPart slow;
        sampler.sample(span, sequence, logits, slow);
        REQUIRE(fast.rows.size() == 1);
        REQUIRE(fast.rows == slow.rows);
        REQUIRE(fast.rows[0].position == 7);
        ++kept[fast.rows[0].tokens.size()];
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

namespace {

/// A decode run at position 6 with three drafts, all of them right: the row of position p samples
/// token p. The logits of `broken` positions are not finite.
struct Drafted {
    explicit Drafted(std::vector<std::int32_t> broken) {
        for (std::int32_t i = 0; i < 4; ++i) {
            float* row = logits.data() + static_cast<std::size_t>(i) * kVocabulary;
            row[6 + i] = 1;
        }
        for (const std::int32_t position : broken) {
            logits[static_cast<std::size_t>(position - 6) * kVocabulary + 18] = NAN;
        }
        part.stage = 2;
    }
    void sample() {
        RunSampler sampler;
        sampler.sample(span, sequence, logits, part);
    }
    void keep() {
        std::vector<Token> best{6, 7, 8, 9};
        for (std::size_t i = 0; i < 4; ++i) {
            if (!(logits[i * kVocabulary + 18] == 0)) best[i] = -1;
        }
        RunSampler::keep_accepted(span, sequence, best, part);
    }

    RowSpan span{SequenceId(1), 6, 4, 4};
    StageSequence sequence = sequence_of({1, 2, 3, 4, 5, 6, 5, 6, 7, 8});
    std::vector<float> logits = std::vector<float>(4 * kVocabulary);
    SampledPart part;
};

/// Runs the sampler and the device's way, and requires that both give this.
void require_outcome(const Drafted& drafted, const std::vector<Token>& tokens,
                     const std::vector<RowFault>& faults) {
    for (const bool device : {false, true}) {
        Drafted run = drafted;
        device ? run.keep() : run.sample();
        REQUIRE(run.part.faults == faults);
        REQUIRE(run.part.rows.size() == (tokens.empty() ? 0 : 1));
        if (!tokens.empty()) REQUIRE(run.part.rows[0].tokens == tokens);
    }
}

}  // namespace

TEST_CASE("sampling ends at the first row whose logits are not numbers") {
    Drafted drafted({8, 9});
    require_outcome(drafted, {6, 7}, {{SequenceId(1), 8, 2, RowFaultKind::logits}});
    require_outcome(Drafted({6}), {}, {{SequenceId(1), 6, 2, RowFaultKind::logits}});
}

TEST_CASE("a fault of an earlier stage ends sampling at its row") {
    Drafted drafted({9});
    const std::vector<RowFault> known{{SequenceId(1), 7, 0, RowFaultKind::hidden},
                                      {SequenceId(5), 3, 1, RowFaultKind::range}};
    drafted.part.faults = known;
    require_outcome(drafted, {6}, known);
    drafted.part.faults[0].position = 2;  // a row of the prompt that is not sampled
    require_outcome(drafted, {}, drafted.part.faults);
}

TEST_CASE("a fault behind a rejected draft is none") {
    Drafted drafted({8});
    drafted.sequence.tokens = {1, 2, 3, 4, 5, 6, 5, 9, 7, 8};  // the row of position 6 gives 6
    drafted.part.faults = {{SequenceId(1), 9, 0, RowFaultKind::hidden},
                           {SequenceId(5), 3, 1, RowFaultKind::range}};
    require_outcome(drafted, {6}, {{SequenceId(5), 3, 1, RowFaultKind::range}});
}

TEST_CASE("infinite logits are no numbers, and a fault leaves no hashes") {
    Drafted drafted({});
    drafted.sequence.open.hash_logits = true;
    drafted.sample();
    REQUIRE(drafted.part.rows.at(0).logit_hashes.size() == 4);
    Drafted infinite({});
    infinite.sequence.open.hash_logits = true;
    infinite.logits[kVocabulary] = -INFINITY;
    infinite.sample();
    REQUIRE(infinite.part.rows.at(0).tokens == std::vector<Token>{6});
    REQUIRE(infinite.part.rows.at(0).logit_hashes.empty());
    REQUIRE(infinite.part.faults.size() == 1);
    REQUIRE(infinite.part.faults[0].position == 7);
}
