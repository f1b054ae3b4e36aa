#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include <molink/status.h>

#include "sampling/token_history.h"
#include "work/part.h"

namespace molink {

/// The state of a sequence on a stage.
struct StageSequence {
    SequenceOpen open;  ///< its prompt has moved to `tokens`
    /// By position: the prompt, then the tokens and drafts of the parts so far.
    std::vector<Token> tokens;
    std::vector<std::uint32_t> blocks;  ///< ids of the KV blocks, in the order of positions
    /// The next rows may begin at a position in [earliest_position, next_position]. The two differ
    /// after rows with drafts, because some drafts may have been rejected.
    std::int32_t earliest_position = 0;
    std::int32_t next_position = kAnyBlock;
    TokenHistory history;  ///< for penalties; only on the stage with the LM head

    /// Value of next_position before the first rows. These begin where the prefix cache ends,
    /// at a block boundary.
    static constexpr std::int32_t kAnyBlock = -1;
};

/// Returns the number of rows of a span whose logits are needed: all rows when the sequence asks
/// for hashes, otherwise the sampled rows.
std::int32_t logit_row_count(const RowSpan& span, const StageSequence& sequence);

/// A stage's copy of the sequences and their block tables. Parts keep it up to date: they describe
/// a sequence once, and then carry only changes. Everything in a part is checked. The next rows of
/// a sequence undo rejected drafts, because they begin at an earlier position. Thread: the stage's
/// compute thread.
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
    /// sequence and numbers. The table is then unusable, and the epoch must end.
    Status apply(const PartPlan& part);
    /// Checks a part that has returned for its logits against the positions that this stage has
    /// computed. Errors: data_loss.
    Status check_returned(const ReturnedPart& part) const;
    /// Returns a sequence of a part that was applied or checked.
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
