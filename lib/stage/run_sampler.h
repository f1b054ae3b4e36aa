#pragma once

#include <span>
#include <vector>

#include "stage/sequence_table.h"
#include "work/retired_part.h"

namespace molink {

/// Samples the logits of the LM head. Returns tokens, and the log-probabilities and hashes that the
/// SequenceOpen asks for. Verifies drafts. Keeps one row of memory between calls. Thread: one at a
/// time.
class RunSampler {
public:
    /// Samples row after row until a token differs from the draft at its position. `logits`
    /// [logit_row_count(span, sequence), vocabulary] belong to the last rows of the span. Advances
    /// the sequence's history.
    SampledRows sample(const RowSpan& span, StageSequence& sequence, std::span<const float> logits);

    /// Returns whether each token is the one with the largest logit, with the lowest id among
    /// equals, and the sequence asks for nothing else: no random draw, penalty, bias, forbidden
    /// token, log-probability or hash. An argmax on the device can then replace sample().
    static bool is_greedy(const RowSpan& span, const StageSequence& sequence);
    /// Returns what sample() would return for a greedy span. `tokens` [sampled rows of the span]
    /// are those with the largest logits.
    static SampledRows keep_accepted(const RowSpan& span, const StageSequence& sequence,
                                     std::span<const Token> tokens);

private:
    Token choose(const StageSequence& sequence, std::span<const float> row, std::int32_t position);

    std::vector<float> adjusted_;
};

}  // namespace molink
