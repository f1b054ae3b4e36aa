// Checks every part against what the stage knows. A gap in positions, a block that does not exist
// or a token outside the vocabulary would otherwise read memory that holds something else, and the
// answer would be wrong without a sign.
#include "stage/sequence_table.h"

#include "base/error.h"

namespace molink {

std::int32_t logit_row_count(const SequenceRun& run, const StageSequence& sequence) {
    return sequence.open.hash_logits ? run.count : run.sample_count;
}

Status SequenceTable::open(const Part& part, const SequenceOpen& open) {
    const auto limit = static_cast<std::size_t>(bounds_.max_sequences) * 4 + 64;
    if (sequences_.size() >= limit) {
        return make_error(StatusCode::data_loss, "part {}: {} sequences are open already",
                          part.id.value, sequences_.size());
    }
    if (open.prompt.empty() || open.prompt.size() > static_cast<std::size_t>(bounds_.max_context)) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} has a prompt of {} tokens (1 to {})", part.id.value,
                          open.id.value, open.prompt.size(), bounds_.max_context);
    }
    for (Token token : open.prompt) {
        if (token >= 0 && token < bounds_.vocabulary) continue;
        return make_error(StatusCode::data_loss, "part {}: sequence {} has token {}; vocabulary {}",
                          part.id.value, open.id.value, token, bounds_.vocabulary);
    }
    if (open.prompt_count < 1 ||
        open.prompt_count > static_cast<std::int32_t>(open.prompt.size())) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} counts {} of {} tokens as its prompt",
                          part.id.value, open.id.value, open.prompt_count, open.prompt.size());
    }
    StageSequence sequence;
    sequence.open = open;
    sequence.tokens = std::move(sequence.open.prompt);
    if (!sequences_.emplace(open.id, std::move(sequence)).second) {
        return make_error(StatusCode::data_loss, "part {}: sequence {} is open already",
                          part.id.value, open.id.value);
    }
    return {};
}

Status SequenceTable::take_tokens(const Part& part, const SequenceRun& run,
                                  StageSequence& sequence) {
    const std::int64_t known = static_cast<std::int64_t>(sequence.tokens.size());
    if (run.tokens.empty()) {
        const std::int64_t end = std::int64_t{run.position} + run.count;
        if (end <= known) return {};
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} runs to position {} without tokens; {} are known",
                          part.id.value, run.id.value, end, known);
    }
    if (run.tokens.size() != static_cast<std::size_t>(run.count) || run.position != known) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} brings {} tokens for positions {}+{}; {} are known",
                          part.id.value, run.id.value, run.tokens.size(), run.position, run.count,
                          known);
    }
    for (Token token : run.tokens) {
        if (token < 0 || token >= bounds_.vocabulary) {
            return make_error(StatusCode::data_loss,
                              "part {}: sequence {} has token {}; vocabulary {}", part.id.value,
                              run.id.value, token, bounds_.vocabulary);
        }
        sequence.tokens.push_back(token);
    }
    return {};
}

Status SequenceTable::run(const Part& part, const SequenceRun& run) {
    const auto found = sequences_.find(run.id);
    if (found == sequences_.end()) {
        return make_error(StatusCode::data_loss, "part {}: sequence {} was never opened",
                          part.id.value, run.id.value);
    }
    StageSequence& sequence = found->second;
    if (sequence.next_position == StageSequence::kAnywhere) {
        const bool at_a_block = run.position >= 0 && run.position % bounds_.block_tokens == 0;
        sequence.next_position = at_a_block ? run.position : 0;
    }
    if (run.position != sequence.next_position || run.count < 1 ||
        run.position > bounds_.max_context - run.count || run.sample_count > run.count) {
        return make_error(StatusCode::data_loss,
                          "part {}: sequence {} runs positions {}+{}; {} is due, context {}",
                          part.id.value, run.id.value, run.position, run.count,
                          sequence.next_position, bounds_.max_context);
    }
    MOLINK_RETURN_IF_ERROR(take_tokens(part, run, sequence));
    const std::int64_t end = std::int64_t{run.position} + run.count;
    for (BlockId block : run.new_blocks) {
        if (block.value >= bounds_.kv_blocks) {
            return make_error(StatusCode::data_loss, "part {}: sequence {} names block {} of {}",
                              part.id.value, run.id.value, block.value, bounds_.kv_blocks);
        }
        sequence.blocks.push_back(block.value);
    }
    if (static_cast<std::int64_t>(sequence.blocks.size()) * bounds_.block_tokens < end) {
        return make_error(
            StatusCode::data_loss, "part {}: sequence {} runs to position {} with {} blocks of {}",
            part.id.value, run.id.value, end, sequence.blocks.size(), bounds_.block_tokens);
    }
    sequence.next_position = static_cast<std::int32_t>(end);
    return {};
}

Status SequenceTable::apply(const Part& part) {
    if (part.row_count() < 1 || part.row_count() > bounds_.max_rows) {
        return make_error(StatusCode::data_loss, "part {} has {} rows; 1 to {} are permitted",
                          part.id.value, part.row_count(), bounds_.max_rows);
    }
    for (SequenceId id : part.releases) sequences_.erase(id);
    for (const SequenceOpen& item : part.opens) MOLINK_RETURN_IF_ERROR(open(part, item));
    for (const SequenceRun& item : part.runs) MOLINK_RETURN_IF_ERROR(run(part, item));
    return {};
}

Status SequenceTable::check_returned(const Part& part) const {
    if (part.row_count() < 1 || part.row_count() > bounds_.max_rows) {
        return make_error(StatusCode::data_loss, "part {} came back with {} rows; 1 to {} went",
                          part.id.value, part.row_count(), bounds_.max_rows);
    }
    std::int64_t wanted = 0;
    for (const SequenceRun& run : part.runs) {
        const auto found = sequences_.find(run.id);
        const std::int32_t computed = found == sequences_.end() ? 0 : found->second.next_position;
        if (run.position < 0 || run.count < 1 || run.sample_count < 0 ||
            run.sample_count > run.count || run.position > computed - run.count) {
            return make_error(StatusCode::data_loss,
                              "part {} came back with positions {}+{} of sequence {}, {} sampled; "
                              "{} are computed here",
                              part.id.value, run.position, run.count, run.id.value,
                              run.sample_count, computed);
        }
        wanted += logit_row_count(run, found->second);
    }
    if (wanted == part.head_rows) return {};
    return make_error(StatusCode::data_loss,
                      "part {} came back with {} rows for the LM head, which wants {}",
                      part.id.value, part.head_rows, wanted);
}

}  // namespace molink
