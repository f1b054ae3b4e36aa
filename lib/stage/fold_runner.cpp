// Runs parts through one stage of the fold model. The pattern after a row's value is an arithmetic
// sequence of 64-bit words whose step depends on the value. It is cheap enough to fill real links
// from few cores, and a torn or shifted row does not match it.
#include "stage/fold_runner.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "stage/fold_model.h"
#include "stage/stage_output.h"
#include "tensor/activation_codec.h"

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
    table_ = std::make_unique<SequenceTable>(bounds);
}

Result<StageOutput> FoldRunner::run(StageInput input) {
    if (table_ == nullptr) {
        return make_error(StatusCode::failed_precondition, "run part {}: the stage is not ready",
                          key_of(input).id.value);
    }
    if (const auto* returned = std::get_if<ReturnedPart>(&input)) return sample_returned(*returned);
    if (auto* plan = std::get_if<PartPlan>(&input)) {
        return run_layers(std::move(*plan), nullptr, {}, {});
    }
    auto& forwarded = std::get<ForwardedPart>(input);
    return run_layers(std::move(forwarded.plan), &forwarded.activations,
                      std::move(forwarded.stage_times), std::move(forwarded.faults));
}

/// Results of the rows of a part, collected sequence by sequence.
struct FoldRunner::Sums {
    std::size_t row = 0;  // index of the next row in the part
    SampledPart part;
    ActivationRows output;
    std::vector<float> logits;
};

Result<StageOutput> FoldRunner::run_layers(PartPlan plan, const ActivationRows* input,
                                           std::vector<StageTime> times,
                                           std::vector<RowFault> faults) {
    if ((input == nullptr) != config_.has_embedding()) {
        return make_error(StatusCode::data_loss, "part {} comes {} activations to stage {}",
                          plan.key.id.value, input == nullptr ? "without" : "with", config_.stage);
    }
    MOLINK_RETURN_IF_ERROR(table_->apply(plan));
    Sums sums;
    sums.part.stage = static_cast<std::uint32_t>(config_.stage);
    sums.part.faults = std::move(faults);
    sums.output.type = config_.activation_format.type;
    sums.output.exact_values = config_.activation_format.exact_values;
    for (const RowSpan& span : spans_of(plan.rows)) {
        MOLINK_RETURN_IF_ERROR(run_span(plan, input, span, sums));
    }
    if (!config_.is_last()) {
        return StageOutput(ForwardedPart{std::move(plan), std::move(sums.output), std::move(times),
                                         std::move(sums.part.faults)});
    }
    if (config_.ring.returns()) {
        return StageOutput(make_returned(plan, std::move(sums.output), std::move(times),
                                         std::move(sums.part.faults)));
    }
    return StageOutput(RetiredPart{plan.key, plan.kind(), std::move(sums.part.rows),
                                   std::move(times), std::move(sums.part.faults)});
}

/// Runs the rows of one sequence through the layers. Then samples them here, or appends those rows
/// to the output that the next stage or the LM head needs.
Status FoldRunner::run_span(const PartPlan& plan, const ActivationRows* input, const RowSpan& span,
                            Sums& sums) {
    StageSequence& sequence = table_->at(span.sequence);
    const bool samples = config_.is_last() && config_.has_lm_head();
    const std::int32_t needed = config_.is_last() ? logit_row_count(span, sequence) : span.count;
    sums.logits.resize(static_cast<std::size_t>(samples ? needed * kFoldVocabulary : 0));
    for (std::int32_t i = 0; i < span.count; ++i, ++sums.row) {
        const std::int32_t position = span.position + i;
        std::uint64_t hidden = fold_embed(sequence.tokens[static_cast<std::size_t>(position)]);
        if (input != nullptr) {
            MOLINK_RETURN_IF_ERROR(read_row(plan.key.id, *input, sums.row, hidden));
        }
        hidden = run_row(sequence, position, hidden);
        // Where the row is sampled, the sampler sees its logits.
        if (hidden == kFoldNan && !(samples && plan.kind() == PartKind::decode)) {
            add_fault(sums.part.faults,
                      {span.sequence, position, sums.part.stage, RowFaultKind::hidden});
        }
        const std::int32_t at = i - (span.count - needed);
        if (at < 0) continue;
        if (samples) {
            fold_row(hidden, at, sums.logits);
        } else {
            append_row(hidden, bytes_of_row(config_.activation_format), sums.output.bytes);
            ++sums.output.rows;
        }
    }
    if (samples && needed > 0) {
        sampler_.sample(span, sequence, sums.logits, sums.part);
    }
    return {};
}

/// Samples a part that has returned to the LM head.
Result<StageOutput> FoldRunner::sample_returned(const ReturnedPart& part) {
    if (!config_.ring.returns() || !config_.has_lm_head()) {
        return make_error(StatusCode::data_loss,
                          "part {} came back to stage {}, which has no LM head for it",
                          part.key.id.value, config_.stage);
    }
    MOLINK_RETURN_IF_ERROR(table_->check_returned(part));
    SampledPart sampled;
    sampled.stage = static_cast<std::uint32_t>(config_.stage);
    sampled.faults = part.faults;
    std::size_t row = 0;
    std::vector<float> logits;
    for (const RowSpan& span : part.spans) {
        StageSequence& sequence = table_->at(span.sequence);
        const std::int32_t needed = logit_row_count(span, sequence);
        if (needed == 0) continue;
        logits.resize(static_cast<std::size_t>(needed * kFoldVocabulary));
        for (std::int32_t i = 0; i < needed; ++i, ++row) {
            std::uint64_t hidden = 0;
            MOLINK_RETURN_IF_ERROR(read_row(part.key.id, part.activations, row, hidden));
            fold_row(hidden, i, logits);
        }
        sampler_.sample(span, sequence, logits, sampled);
    }
    return StageOutput(RetiredPart{part.key, part.kind, std::move(sampled.rows), part.stage_times,
                                   std::move(sampled.faults)});
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

/// Returns the layers that have pages on this stage.
LayerRange FoldRunner::kept_layers() const {
    const std::int32_t begin = config_.layers.begin;
    return shape_.light ? LayerRange{begin, begin + 1} : config_.layers;
}

std::uint64_t FoldRunner::run_row(const StageSequence& sequence, std::int32_t position,
                                  std::uint64_t hidden) {
    const LayerRange layers = kept_layers();
    const std::int32_t first = shape_.light ? std::max(position - 1, 0) : 0;
    if (shape_.damaged) ++hidden;
    for (std::int32_t layer = layers.begin; layer < layers.end; ++layer) {
        slot(sequence, layer, position) = {fold_slot(hidden, layer, position), position,
                                           sequence.tokens[static_cast<std::size_t>(position)]};
        for (std::int32_t p = first; p <= position; ++p) {
            hidden = read_slot(sequence, layer, p, hidden);
        }
        if (hidden != kFoldNan) hidden = fold_overflow(hidden, shape_.overflows);
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

std::size_t FoldRunner::bytes_of_row(const ActivationFormat& format) const {
    return std::max(activation_bytes(format, 1, static_cast<std::size_t>(shape_.hidden)),
                    sizeof(std::uint64_t));
}

Status FoldRunner::read_row(PartId part, const ActivationRows& rows, std::size_t row,
                            std::uint64_t& hidden) const {
    const std::size_t bytes = bytes_of_row({rows.type, rows.exact_values});
    if (rows.bytes.size() < (row + 1) * bytes) {
        return make_error(StatusCode::data_loss,
                          "part {} brings {} bytes; row {} of {} bytes is missing", part.value,
                          rows.bytes.size(), row, bytes);
    }
    const std::byte* from = rows.bytes.data() + row * bytes;
    std::memcpy(&hidden, from, sizeof(hidden));
    for (std::size_t word = 1; (word + 1) * sizeof(hidden) <= bytes; ++word) {
        std::uint64_t found = 0;
        std::memcpy(&found, from + word * sizeof(found), sizeof(found));
        if (found != pattern(hidden, word)) {
            return make_error(StatusCode::data_loss, "part {}: row {} is torn at byte {}",
                              part.value, row, word * sizeof(found));
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
