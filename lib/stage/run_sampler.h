#pragma once

#include <span>
#include <vector>

#include "stage/sequence_table.h"
#include "work/retired_part.h"

namespace molink {

/// Samples behind the LM head: logits in; tokens, log-probabilities and hashes out, as the
/// sequence's description says. Verifies drafts. Keeps a row's worth of memory between calls.
/// Thread: one caller.
class RunSampler {
public:
    /// `logits` are [logit_row_count(span, sequence), vocabulary], of the span's last rows. Samples
    /// row after row until a token differs from the draft at its position. The sequence's history
    /// grows.
    SampledRows sample(const RowSpan& span, StageSequence& sequence, std::span<const float> logits);

    /// The tokens of the rows are those of the largest logits, the lowest id among equals, and
    /// nothing else is asked for: no draw, penalty, bias, forbidden token, log-probability or hash.
    /// An argmax on the device then does what sample() would do.
    static bool is_greedy(const RowSpan& span, const StageSequence& sequence);
    /// What sample() returns for a greedy span. `tokens` are those of the largest logits, [sampled
    /// rows of the span].
    static SampledRows keep_accepted(const RowSpan& span, const StageSequence& sequence,
                                     std::span<const Token> tokens);

private:
    Token choose(const StageSequence& sequence, std::span<const float> row, std::int32_t position);

    std::vector<float> adjusted_;
};

}  // namespace molink
