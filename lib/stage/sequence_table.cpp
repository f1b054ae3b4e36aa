// Checks every part against the state of its sequences. Otherwise a gap in positions, a block that
// does not exist or a token outside the vocabulary would read the wrong memory, and the answer
// would be wrong without an error. Pages need no rollback, because a position that is computed
// again is written before anything reads it.
#include "stage/sequence_table.h"

#include "base/canary.h"
#include "base/error.h"

namespace molink {

std::int32_t logit_row_count(const RowSpan& span, const StageSequence& sequence) {
    return sequence.open.hash_logits ? span.count : span.sampled;
}

Status SequenceTable::check_token(const PartPlan& part, SequenceId sequence, Token token) const {
    if (token >= 0 && token < bounds_.vocabulary) return {};
    return make_error(StatusCode::data_loss,
                      "part {}: sequence {} has token {}; the vocabulary has {}", part.key.id.value,
                      sequence.value, token, bounds_.vocabulary);
}

Status SequenceTable::open(const PartPlan& part, const SequenceOpen& open) {
    const auto limit = static_cast<std::size_t>(bounds_.max_sequences) * 4 + 64;
    const std::uint64_t id = part.key.id.value;
    if (sequences_.size() >= limit) {
        return make_error(StatusCode::data_loss,
                          "part {} opens sequence {}; {} of at most {} sequences are open", id,
                          open.id.value, sequences_.size(), limit);
    }
    if (open.prompt.empty() || open.prompt.size() > static_cast<std::size_t>(bounds_.max_context)) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} has a prompt of {} tokens; 1 to {} are permitted",
                          id, open.id.value, open.prompt.size(), bounds_.max_context);
    }
    for (Token token : open.prompt) MOLINK_RETURN_IF_ERROR(check_token(part, open.id, token));
    if (open.prompt_count < 1 ||
        open.prompt_count > static_cast<std::int32_t>(open.prompt.size())) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} counts {} of {} tokens as its prompt", id,
                          open.id.value, open.prompt_count, open.prompt.size());
    }
    StageSequence sequence;
    sequence.open = open;
    sequence.tokens = std::move(sequence.open.prompt);
    if (!sequences_.emplace(open.id, std::move(sequence)).second) {
        return make_error(StatusCode::data_loss, "part {}: sequence {} is open already", id,
                          open.id.value);
    }
    return {};
}

/// Checks where the rows begin and end, and moves the sequence's positions there.
Status SequenceTable::advance(const PartPlan& part, const RowSpan& span, bool decode,
                              StageSequence*& out) {
    const auto found = sequences_.find(span.sequence);
    if (found == sequences_.end()) {
        return make_error(StatusCode::data_loss, "part {}: sequence {} was never opened",
                          part.key.id.value, span.sequence.value);
    }
    StageSequence& sequence = found->second;
    if (sequence.next_position == StageSequence::kAnyBlock) {
        const bool at_a_block = span.position >= 0 && span.position % bounds_.block_tokens == 0;
        sequence.next_position = at_a_block ? span.position : 0;
        sequence.earliest_position = sequence.next_position;
    }
    if (span.position < sequence.earliest_position || span.position > sequence.next_position ||
        span.count < 1 || span.position > bounds_.max_context - span.count) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} runs positions {}+{}; {} to {} may come next, "
                          "the context has {}",
                          part.key.id.value, span.sequence.value, span.position, span.count,
                          sequence.earliest_position, sequence.next_position, bounds_.max_context);
    }
    sequence.next_position = span.end();
    sequence.earliest_position = decode ? span.position + 1 : span.end();
    out = &sequence;
    return {};
}

Status SequenceTable::append_blocks(const PartPlan& part, const RowSpan& span,
                                    const std::vector<BlockId>& new_blocks,
                                    StageSequence& sequence) const {
    for (BlockId block : new_blocks) {
        if (block.value >= bounds_.kv_blocks) {
            return make_error(StatusCode::data_loss, "part {}: sequence {} names block {} of {}",
                              part.key.id.value, span.sequence.value, block.value,
                              bounds_.kv_blocks);
        }
        sequence.blocks.push_back(block.value);
    }
    if (static_cast<std::int64_t>(sequence.blocks.size()) * bounds_.block_tokens < span.end()) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} runs to position {} with {} blocks of {}",
                          part.key.id.value, span.sequence.value, span.end(),
                          sequence.blocks.size(), bounds_.block_tokens);
    }
    return {};
}

Status SequenceTable::apply_rows(const PartPlan& part, const DecodeRows& rows) {
    const RowSpan span = span_of(rows);
    StageSequence* sequence = nullptr;
    MOLINK_RETURN_IF_ERROR(advance(part, span, true, sequence));
    const auto position = static_cast<std::size_t>(rows.position);
    if (!rows.token || position > sequence->tokens.size()) {
        return make_error(
            StatusCode::data_loss,
            "part {}: sequence {} decodes position {} {} a token; {} tokens are known",
            part.key.id.value, rows.sequence.value, rows.position, rows.token ? "with" : "without",
            sequence->tokens.size());
    }
    const bool keeps = canary(Canary::rejected_draft_kept) && position < sequence->tokens.size();
    if (!keeps) {
        sequence->tokens.resize(position);  // drops drafts that were not accepted
        sequence->tokens.push_back(*rows.token);
    }
    MOLINK_RETURN_IF_ERROR(check_token(part, rows.sequence, *rows.token));
    for (Token draft : rows.drafts) {
        MOLINK_RETURN_IF_ERROR(check_token(part, rows.sequence, draft));
        sequence->tokens.push_back(draft);
    }
    return append_blocks(part, span, rows.new_blocks, *sequence);
}

Status SequenceTable::apply_rows(const PartPlan& part, const PrefillRows& rows) {
    const RowSpan span = span_of(rows);
    StageSequence* sequence = nullptr;
    MOLINK_RETURN_IF_ERROR(advance(part, span, false, sequence));
    if (static_cast<std::size_t>(span.end()) > sequence->tokens.size()) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} prefills to position {}; {} tokens are known",
                          part.key.id.value, rows.sequence.value, span.end(),
                          sequence->tokens.size());
    }
    return append_blocks(part, span, rows.new_blocks, *sequence);
}

Status SequenceTable::apply(const PartPlan& part) {
    const std::int32_t rows = part.row_count();
    if (rows < 1 || rows > bounds_.max_rows) {
        return make_error(StatusCode::data_loss, "part {} has {} rows; 1 to {} are permitted",
                          part.key.id.value, rows, bounds_.max_rows);
    }
    const std::size_t sequences =
        std::visit([](const auto& list) { return list.size(); }, part.rows);
    if (sequences > static_cast<std::size_t>(bounds_.max_sequences)) {
        return make_error(StatusCode::data_loss, "part {} has {} sequences; 1 to {} are permitted",
                          part.key.id.value, sequences, bounds_.max_sequences);
    }
    for (SequenceId id : part.releases) sequences_.erase(id);
    for (const SequenceOpen& item : part.opens) MOLINK_RETURN_IF_ERROR(open(part, item));
    Status status;
    for_each_sequence(part.rows, [&](const auto& item) {
        if (status.ok()) status = apply_rows(part, item);
    });
    return status;
}

Status SequenceTable::check_returned(const ReturnedPart& part) const {
    const std::int32_t rows = count_rows(part.spans);
    const std::uint64_t id = part.key.id.value;
    if (rows < 1 || rows > bounds_.max_rows) {
        return make_error(StatusCode::data_loss,
                          "part {} came back with {} rows; 1 to {} are permitted", id, rows,
                          bounds_.max_rows);
    }
    std::int64_t wanted = 0;
    for (const RowSpan& span : part.spans) {
        const auto found = sequences_.find(span.sequence);
        const std::int32_t computed = found == sequences_.end() ? 0 : found->second.next_position;
        if (span.position < 0 || span.count < 1 || span.sampled < 0 || span.sampled > span.count ||
            span.position > computed - span.count) {
            return make_error(StatusCode::data_loss,
                              "part {} came back with positions {}+{} of sequence {}, {} sampled; "
                              "{} positions are computed here",
                              id, span.position, span.count, span.sequence.value, span.sampled,
                              computed);
        }
        wanted += logit_row_count(span, found->second);
    }
    if (wanted == part.activations.rows) return {};
    return make_error(StatusCode::data_loss,
                      "part {} came back with {} rows for the LM head, which needs {}", id,
                      part.activations.rows, wanted);
}

}  // namespace molink
