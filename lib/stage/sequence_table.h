#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include <molink/status.h>

#include "sampling/token_history.h"
#include "wire/messages.h"

namespace molink {

/// What a stage knows of a sequence.
struct StageSequence {
    SequenceOpen open;          // its prompt has moved to `tokens`
    std::vector<Token> tokens;  // every token that parts have told, by position
    std::vector<std::uint32_t> blocks;
    std::int32_t next_position = kAnywhere;

    /// The first run begins where the prefix cache ends: at any whole block.
    static constexpr std::int32_t kAnywhere = -1;
    TokenHistory history;  // of the stage with the LM head, for penalties
};

/// Rows of a run whose logits somebody asks for: all of them when hashes are wanted, else the last
/// sample_count.
std::int32_t logit_row_count(const SequenceRun& run, const StageSequence& sequence);

/// A stage's mirror of the sequences and their block tables, kept up by what parts tell: full
/// descriptions once, then differences. Nothing a part says is believed unchecked.
/// Thread: the stage's compute thread.
class SequenceTable {
public:
    struct Bounds {
        std::int32_t max_rows = 0;
        std::int32_t max_sequences = 0;
        std::int32_t max_context = 0;
        std::int32_t block_tokens = 0;
        std::int32_t vocabulary = 0;
        std::uint64_t kv_blocks = 0;
        bool has_embedding = false;
    };
    explicit SequenceTable(const Bounds& bounds) : bounds_(bounds) {}

    /// Takes in a part: opens, new blocks, positions, releases. Errors: data_loss naming part,
    /// sequence and numbers; the epoch cannot go on then.
    Status apply(const Part& part);
    /// Checks a part that comes back for its logits against what this stage computed of it; changes
    /// nothing. Errors: data_loss.
    Status check_returned(const Part& part) const;
    /// Only for sequences of a part that was applied, or checked.
    const StageSequence& at(SequenceId id) const { return sequences_.at(id); }
    StageSequence& at(SequenceId id) { return sequences_.at(id); }
    std::size_t size() const { return sequences_.size(); }

private:
    Status open(const Part& part, const SequenceOpen& open);
    Status run(const Part& part, const SequenceRun& run);
    Status take_tokens(const Part& part, const SequenceRun& run, StageSequence& sequence);

    Bounds bounds_;
    std::unordered_map<SequenceId, StageSequence> sequences_;
};

}  // namespace molink
