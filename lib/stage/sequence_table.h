#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include <molink/status.h>

#include "sampling/token_history.h"
#include "work/part.h"

namespace molink {

/// What a stage knows of a sequence.
struct StageSequence {
    SequenceOpen open;  // its prompt has moved to `tokens`
    std::vector<Token>
        tokens;  // by position: the prompt, then what parts have told, drafts included
    std::vector<std::uint32_t> blocks;
    /// Where the next rows may begin: [earliest_position, next_position]. They differ after rows
    /// with drafts, some of which may have been rejected.
    std::int32_t earliest_position = 0;
    std::int32_t next_position = kAnyBlock;
    TokenHistory history;  // on the stage with the LM head, for penalties

    /// The first rows begin where the prefix cache ends: at any whole block.
    static constexpr std::int32_t kAnyBlock = -1;
};

/// Rows of a span whose logits are needed: all of them when hashes are wanted, else those that are
/// sampled.
std::int32_t logit_row_count(const RowSpan& span, const StageSequence& sequence);

/// A stage's mirror of the sequences and their block tables, kept up to date by the parts: full
/// descriptions once, then differences. Everything a part says is checked. Rejected drafts are
/// undone by the next rows of their sequence, which begin at an earlier position.
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
    };
    explicit SequenceTable(const Bounds& bounds) : bounds_(bounds) {}

    /// Applies a part: releases, opens, tokens, blocks, positions. Errors: data_loss naming part,
    /// sequence and numbers; the epoch cannot go on then.
    Status apply(const PartPlan& part);
    /// Checks a part that returns for its logits against what this stage computed of it. Errors:
    /// data_loss.
    Status check_returned(const ReturnedPart& part) const;
    /// Only for sequences of a part that was applied or checked.
    const StageSequence& at(SequenceId id) const { return sequences_.at(id); }
    StageSequence& at(SequenceId id) { return sequences_.at(id); }
    std::size_t size() const { return sequences_.size(); }

private:
    Status open(const PartPlan& part, const SequenceOpen& open);
    Status advance(const PartPlan& part, const RowSpan& span, bool decode, StageSequence*& out);
    Status append_blocks(const PartPlan& part, const RowSpan& span,
                         const std::vector<BlockId>& new_blocks, StageSequence& sequence) const;
    Status apply_rows(const PartPlan& part, const DecodeRows& rows);
    Status apply_rows(const PartPlan& part, const PrefillRows& rows);
    Status check_token(const PartPlan& part, SequenceId sequence, Token token) const;

    Bounds bounds_;
    std::unordered_map<SequenceId, StageSequence> sequences_;
};

}  // namespace molink
