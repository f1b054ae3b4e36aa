#pragma once

#include <span>
#include <vector>

#include "stage/sequence_table.h"
#include "wire/messages.h"

namespace molink {

/// The choice behind the LM head: logits in, tokens, log-probabilities and hashes out, by what the
/// sequence's description says. Keeps a row's worth of memory between calls. Not thread-safe.
class RunSampler {
public:
    /// `logits` are [logit_row_count(run, sequence), vocabulary], of the run's last rows. The
    /// sequence's history grows.
    SampledRun sample(const SequenceRun& run, StageSequence& sequence,
                      std::span<const float> logits);

private:
    Token choose(const StageSequence& sequence, std::span<const float> row, std::int32_t position);

    std::vector<float> adjusted_;
};

}  // namespace molink
