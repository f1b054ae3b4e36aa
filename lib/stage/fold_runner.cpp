// One part through one stage of the fold model. The pattern behind a row's value is a line of
// 64-bit words with a step that depends on the value: cheap enough to fill real links from few
// cores, and a torn or shifted row does not fit it.
#include "stage/fold_runner.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "stage/fold_model.h"
#include "stage/part_return.h"
#include "wire/activation_codec.h"

namespace molink {
namespace {

std::uint64_t pattern(std::uint64_t hidden, std::size_t word) {
    return hidden + word * (hidden | 1);
}

}  // namespace

FoldRunner::FoldRunner(const FoldShape& shape, const StageConfig& config)
    : shape_(shape), config_(config) {}

void FoldRunner::start(std::uint64_t kv_blocks) {
    blocks_ = kv_blocks;
    slots_.assign(static_cast<std::size_t>(kept_layers().size()) * kv_blocks *
                      static_cast<std::size_t>(shape_.block_tokens),
                  {});
    SequenceTable::Bounds bounds;
    bounds.max_rows = config_.max_rows;
    bounds.max_sequences = config_.max_sequences;
    bounds.max_context = config_.max_context;
    bounds.block_tokens = shape_.block_tokens;
    bounds.vocabulary = kFoldVocabulary;
    bounds.kv_blocks = kv_blocks;
    bounds.has_embedding = config_.has_embedding;
    table_ = std::make_unique<SequenceTable>(bounds);
}

Result<PartResult> FoldRunner::run(Part part) {
    if (table_ == nullptr) {
        return make_error(StatusCode::failed_precondition, "part {} for a stage that is not ready",
                          part.id.value);
    }
    if (part.returns()) return sample_returned(std::move(part));
    MOLINK_RETURN_IF_ERROR(table_->apply(part));
    PartResult result;
    const std::size_t row_bytes = bytes_of_row(config_.activation_type);
    const bool samples = config_.samples(part);
    const bool turns = config_.last_stage && !samples;
    Bytes output;
    std::size_t row = 0;
    std::vector<float> logits;
    for (const SequenceRun& run : part.runs) {
        StageSequence& sequence = table_->at(run.id);
        const std::int32_t wanted = samples || turns ? logit_row_count(run, sequence) : run.count;
        logits.resize(static_cast<std::size_t>(samples ? wanted * kFoldVocabulary : 0));
        for (std::int32_t i = 0; i < run.count; ++i, ++row) {
            const std::int32_t position = run.position + i;
            std::uint64_t hidden = fold_embed(sequence.tokens[static_cast<std::size_t>(position)]);
            if (!config_.has_embedding) MOLINK_RETURN_IF_ERROR(read_row(part, row, hidden));
            hidden = run_row(sequence, position, hidden);
            const std::int32_t at = i - (run.count - wanted);
            if (at < 0) continue;
            if (samples) {
                fold_row(hidden, at, logits);
            } else {
                append_row(hidden, row_bytes, output);
            }
        }
        if (samples && wanted > 0) result.sampled.push_back(sampler_.sample(run, sequence, logits));
    }
    if (turns) turn_back(part, static_cast<std::int32_t>(output.size() / row_bytes));
    part.activation_type = config_.activation_type;
    part.activations = std::move(output);
    result.part = std::move(part);
    return result;
}

/// What is left to do when a part comes back to the LM head.
Result<PartResult> FoldRunner::sample_returned(Part part) {
    if (!config_.samples(part)) {
        return make_error(StatusCode::data_loss, "part {} came back to a stage without LM head",
                          part.id.value);
    }
    MOLINK_RETURN_IF_ERROR(table_->check_returned(part));
    PartResult result;
    std::size_t row = 0;
    std::vector<float> logits;
    for (const SequenceRun& run : part.runs) {
        StageSequence& sequence = table_->at(run.id);
        const std::int32_t wanted = logit_row_count(run, sequence);
        if (wanted == 0) continue;
        logits.resize(static_cast<std::size_t>(wanted * kFoldVocabulary));
        for (std::int32_t i = 0; i < wanted; ++i, ++row) {
            std::uint64_t hidden = 0;
            MOLINK_RETURN_IF_ERROR(read_row(part, row, hidden));
            fold_row(hidden, i, logits);
        }
        result.sampled.push_back(sampler_.sample(run, sequence, logits));
    }
    part.activations.clear();
    result.part = std::move(part);
    return result;
}

void FoldRunner::fold_row(std::uint64_t hidden, std::int32_t at, std::vector<float>& logits) const {
    fold_logits(hidden, std::span(logits).subspan(static_cast<std::size_t>(at * kFoldVocabulary),
                                                  static_cast<std::size_t>(kFoldVocabulary)));
}

FoldRunner::Slot& FoldRunner::slot(const StageSequence& sequence, std::int32_t layer,
                                   std::int32_t position) {
    const std::uint64_t block =
        sequence.blocks[static_cast<std::size_t>(position / shape_.block_tokens)];
    const auto first = static_cast<std::uint64_t>(layer - config_.layers.begin) * blocks_ + block;
    return slots_[first * static_cast<std::uint64_t>(shape_.block_tokens) +
                  static_cast<std::uint64_t>(position % shape_.block_tokens)];
}

/// Layers that have pages here.
LayerRange FoldRunner::kept_layers() const {
    const std::int32_t begin = config_.layers.begin;
    return shape_.light ? LayerRange{begin, begin + 1} : config_.layers;
}

std::uint64_t FoldRunner::run_row(const StageSequence& sequence, std::int32_t position,
                                  std::uint64_t hidden) {
    const LayerRange layers = kept_layers();
    const std::int32_t first = shape_.light ? std::max(position - 1, 0) : 0;
    for (std::int32_t layer = layers.begin; layer < layers.end; ++layer) {
        slot(sequence, layer, position) = {fold_slot(hidden, layer, position), position,
                                           sequence.tokens[static_cast<std::size_t>(position)]};
        for (std::int32_t p = first; p <= position; ++p) {
            hidden = read_slot(sequence, layer, p, hidden);
        }
    }
    return hidden;
}

std::uint64_t FoldRunner::read_slot(const StageSequence& sequence, std::int32_t layer,
                                    std::int32_t position, std::uint64_t sum) {
    const Slot& read = slot(sequence, layer, position);
    const Token token = sequence.tokens[static_cast<std::size_t>(position)];
    if ((read.position != position || read.token != token) && violation_.empty()) {
        violation_ = fmt::format(
            "a stage read position {} of sequence {} in layer {} and found position {}, token {} "
            "instead of {}",
            position, sequence.open.id.value, layer, read.position, read.token, token);
    }
    return fold_add(sum, read.value, position);
}

std::size_t FoldRunner::bytes_of_row(DataType type) const {
    return std::max(activation_bytes(type, 1, static_cast<std::size_t>(shape_.hidden)),
                    sizeof(std::uint64_t));
}

Status FoldRunner::read_row(const Part& part, std::size_t row, std::uint64_t& hidden) const {
    const std::size_t bytes = bytes_of_row(part.activation_type);
    if (part.activations.size() < (row + 1) * bytes) {
        return make_error(StatusCode::data_loss,
                          "part {} brings {} bytes; row {} of {} is not there", part.id.value,
                          part.activations.size(), row, bytes);
    }
    const std::byte* from = part.activations.data() + row * bytes;
    std::memcpy(&hidden, from, sizeof(hidden));
    for (std::size_t word = 1; (word + 1) * sizeof(hidden) <= bytes; ++word) {
        std::uint64_t found = 0;
        std::memcpy(&found, from + word * sizeof(found), sizeof(found));
        if (found != pattern(hidden, word)) {
            return make_error(StatusCode::data_loss, "part {}: row {} is torn at byte {}",
                              part.id.value, row, word * sizeof(found));
        }
    }
    return {};
}

void FoldRunner::append_row(std::uint64_t hidden, std::size_t bytes, Bytes& rows) const {
    rows.resize(rows.size() + bytes);
    std::byte* out = rows.data() + rows.size() - bytes;
    std::memcpy(out, &hidden, sizeof(hidden));
    for (std::size_t word = 1; (word + 1) * sizeof(hidden) <= bytes; ++word) {
        const std::uint64_t value = pattern(hidden, word);
        std::memcpy(out + word * sizeof(value), &value, sizeof(value));
    }
}

}  // namespace molink
