#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "stage/sequence_table.h"
#include "work/retired_part.h"

namespace molink {

/// What sampling makes of a part.
struct SampledPart {
    std::uint32_t stage = 0;        ///< that samples
    std::vector<RowFault> faults;   ///< at first those that earlier stages noticed
    std::vector<SampledRows> rows;  ///< sequences with tokens or hashes, in order
};

/// Samples the logits of the LM head. Returns tokens, and the log-probabilities and hashes that the
/// SequenceOpen asks for. Verifies drafts. Keeps one row of memory between calls. Thread: one at a
/// time.
///
/// Sampling ends at a row with a fault, or whose logits are not finite: nothing is sampled from it,
/// hashes are dropped, and the fault stays in the part. Rows behind a rejected draft are not
/// looked at, and a fault of one of them is dropped: their tokens were never part of the sequence.
class RunSampler {
public:
    /// Samples row after row until a token differs from the draft at its position. `logits`
    /// [logit_row_count(span, sequence), vocabulary], at least one row, belong to the last rows of
    /// the span. Advances the sequence's history.
    void sample(const RowSpan& span, StageSequence& sequence, std::span<const float> logits,
                SampledPart& part);

    /// Returns whether each token is the one with the largest logit, with the lowest id among
    /// equals, and the sequence asks for nothing else: no random draw, penalty, bias, forbidden
    /// token, log-probability or hash. An argmax on the device can then replace sample().
    static bool is_greedy(const RowSpan& span, const StageSequence& sequence);
    /// Does what sample() would do for a greedy span. `tokens` [sampled rows of the span, at least
    /// one] are those with the largest logits, or -1 where logits are not finite.
    static void keep_accepted(const RowSpan& span, const StageSequence& sequence,
                              std::span<const Token> tokens, SampledPart& part);

private:
    Token choose(const StageSequence& sequence, std::span<const float> row, std::int32_t position);

    std::vector<float> adjusted_;
};

}  // namespace molink
