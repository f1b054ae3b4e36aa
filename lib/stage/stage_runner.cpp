// Runs a part through one stage: tokens or activations in, activations or sampled tokens out. Ops
// read only device memory. The batch of the part is uploaded first, then the rows of the stage
// before, and results are fetched after a mark. Rows for the next stage are copied out on a stream
// of their own. Rows whose logits nobody needs skip the LM head, and do not go back to an LM head
// on the first stage.
#include "stage/stage_runner.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>

#include "base/error.h"
#include "stage/stage_memory.h"
#include "stage/stage_output.h"
#include "tensor/activation_codec.h"

namespace molink {

StageRunner::StageRunner(Backend& backend, std::unique_ptr<Model> model, const ModelSpec& spec,
                         const StageConfig& config, const CacheFormat& cache)
    : backend_(backend),
      traits_(backend.traits()),
      compute_(backend.make_stream()),
      copies_out_(backend.make_stream()),
      model_(std::move(model)),
      spec_(spec),
      config_(config),
      cache_(cache) {}

StageRunner::~StageRunner() {
    wait();
}

std::unique_ptr<Model> StageRunner::take_model() {
    wait();
    return std::move(model_);
}

/// Waits until the device does nothing more.
void StageRunner::wait() {
    // Errors can be ignored here: a stream that failed does nothing more.
    static_cast<void>(compute_->wait(compute_->record()));
    static_cast<void>(copies_out_->wait(copies_out_->record()));
}

ModelBounds StageRunner::bounds() const {
    return {config_.max_rows, config_.max_context, config_.max_sequences, cache_.block_tokens};
}

Result<std::uint64_t> StageRunner::block_capacity() const {
    return offered_blocks(backend_, spec_, config_, weight_bytes(), cache_);
}

Status StageRunner::allocate_pages(std::uint64_t kv_blocks) {
    for (std::size_t i = 0; i < layer_count(); ++i) {
        const std::size_t block = model_->cache_block_bytes(i, cache_);
        MOLINK_ASSIGN_OR_RETURN(auto buffer, backend_.allocate(block * kv_blocks));
        pages_.push_back(model_->cache_pages(i, cache_, buffer->data()));
        page_buffers_.push_back(std::move(buffer));
    }
    if (!traits_.prefaults) return {};
    // One block for every sequence, and the blocks that one prefill part fills.
    const std::int32_t ahead = config_.max_sequences + config_.max_rows / cache_.block_tokens;
    prefault_ =
        std::make_unique<KvPrefault>(page_buffers_, kv_blocks, static_cast<std::uint64_t>(ahead));
    return {};
}

Status StageRunner::start(std::uint64_t kv_blocks) {
    MOLINK_RETURN_IF_ERROR(allocate_pages(kv_blocks));
    PartSlot::Bounds slot_bounds;
    slot_bounds.batch = bounds().batch();
    slot_bounds.hidden = spec_.hidden;
    slot_bounds.vocabulary = spec_.vocabulary;
    slot_bounds.has_lm_head = config_.has_lm_head();
    slot_bounds.checks_rows = config_.is_last();
    for (std::int32_t i = 0; i <= traits_.parts_ahead; ++i) {
        MOLINK_ASSIGN_OR_RETURN(PartSlot slot, PartSlot::make(backend_, slot_bounds));
        slots_.push_back(std::move(slot));
    }
    SequenceTable::Bounds bounds;
    bounds.max_rows = config_.max_rows;
    bounds.max_sequences = config_.max_sequences;
    bounds.max_context = config_.max_context;
    bounds.block_tokens = cache_.block_tokens;
    bounds.vocabulary = spec_.vocabulary;
    bounds.kv_blocks = kv_blocks;
    table_ = std::make_unique<SequenceTable>(bounds);
    return {};
}

Status StageRunner::begin(StageInput input) {
    PartSlot& slot = slots_[(oldest_ + begun_) % slots_.size()];
    slot.input = std::move(input);
    slot.faults.clear();
    slot.forget_checks();
    MOLINK_RETURN_IF_ERROR(
        std::visit([&](const auto& part) { return enqueue(part, slot); }, slot.input));
    slot.done = slot.last->record();
    ++begun_;
    return {};
}

Result<StageOutput> StageRunner::finish() {
    PartSlot& slot = slots_[oldest_];
    oldest_ = (oldest_ + 1) % slots_.size();
    --begun_;
    const Status done = slot.last->wait(slot.done);
    if (!done.ok()) return done.with_context(fmt::format("part {}", key_of(slot.input).id.value));
    const auto checks = slot.row_checks();
    for (std::size_t row = 0; row < checks.size(); ++row) {
        if (checks[row] < 0) note_fault(static_cast<std::int32_t>(row), RowFaultKind::hidden, slot);
    }
    return std::visit([&](auto& part) { return output(part, slot); }, slot.input);
}

/// Refuses a part that would change sequences which finish() still needs for parts under way.
Status StageRunner::check_under_way(const PartPlan& plan) const {
    if (begun_ == 0) return {};
    std::unordered_set<SequenceId> under_way;
    for (std::size_t i = 0; i < begun_; ++i) {
        for (const RowSpan& span : slots_[(oldest_ + i) % slots_.size()].spans) {
            under_way.insert(span.sequence);
        }
    }
    std::optional<SequenceId> early;
    for (const SequenceId id : plan.releases) {
        if (under_way.contains(id)) early = id;
    }
    if (const auto* decode = std::get_if<std::vector<DecodeRows>>(&plan.rows)) {
        for (const DecodeRows& rows : *decode) {
            if (under_way.contains(rows.sequence)) early = rows.sequence;
        }
    }
    if (!early) return {};
    return make_error(StatusCode::data_loss,
                      "part {} decodes or releases sequence {}, which has a part under way",
                      plan.key.id.value, early->value);
}

Status StageRunner::enqueue(const PartPlan& part, PartSlot& slot) {
    return enqueue_layers(part, nullptr, slot);
}

Status StageRunner::enqueue(const ForwardedPart& part, PartSlot& slot) {
    slot.faults = part.faults;
    return enqueue_layers(part.plan, &part.activations, slot);
}

Status StageRunner::enqueue_layers(const PartPlan& plan, const ActivationRows* activations,
                                   PartSlot& slot) {
    if ((activations == nullptr) != config_.has_embedding()) {
        return make_error(StatusCode::data_loss, "part {} comes {} activations to stage {}",
                          plan.key.id.value, activations == nullptr ? "without" : "with",
                          config_.stage);
    }
    MOLINK_RETURN_IF_ERROR(gather(plan, slot));
    DeviceBatch& batch = slot.batch();
    const bool samples = config_.samples(slot.input);
    if (samples) MOLINK_RETURN_IF_ERROR(list_logit_rows(false, slot));
    batch.upload(*compute_);
    if (activations == nullptr) {
        model_->embed(*compute_, batch.tokens(), batch.rows(), slot.hidden());
    } else {
        MOLINK_RETURN_IF_ERROR(upload_activations(*activations, slot));
    }
    model_->run_layers(*compute_, batch.args(), pages_, slot.hidden());
    // Behind the last stage no one looks at the rows of a prompt that need no logits, but what it
    // has stored of them must not enter the prefix cache either.
    if (config_.is_last() && plan.kind() == PartKind::prefill) {
        slot.check_rows(*compute_, batch.rows());
    }
    if (samples) {
        enqueue_sampling(slot);
    } else if (config_.is_last()) {
        enqueue_rows_out(needed_rows(slot.spans), slot);
    } else {
        std::vector<std::int32_t> all(static_cast<std::size_t>(batch.rows()));
        std::iota(all.begin(), all.end(), 0);
        enqueue_rows_out(std::move(all), slot);
    }
    return {};
}

Status StageRunner::enqueue(const ReturnedPart& part, PartSlot& slot) {
    if (!config_.ring.returns() || !config_.has_lm_head()) {
        return make_error(StatusCode::data_loss,
                          "part {} came back to stage {}, which has no LM head for it",
                          part.key.id.value, config_.stage);
    }
    MOLINK_RETURN_IF_ERROR(table_->check_returned(part));
    slot.spans = part.spans;
    slot.faults = part.faults;
    slot.batch().clear();
    MOLINK_RETURN_IF_ERROR(list_logit_rows(true, slot));
    slot.batch().upload(*compute_);
    MOLINK_RETURN_IF_ERROR(upload_activations(part.activations, slot));
    enqueue_sampling(slot);
    return {};
}

Status StageRunner::gather(const PartPlan& plan, PartSlot& slot) {
    MOLINK_RETURN_IF_ERROR(check_under_way(plan));
    MOLINK_RETURN_IF_ERROR(table_->apply(plan));
    slot.spans = spans_of(plan.rows);
    DeviceBatch& batch = slot.batch();
    batch.clear();
    for (const RowSpan& span : slot.spans) {
        const StageSequence& sequence = table_->at(span.sequence);
        const auto blocks = static_cast<std::size_t>((span.end() - 1) / cache_.block_tokens + 1);
        batch.add_sequence(std::span(sequence.blocks).first(blocks));
        for (std::int32_t position = span.position; position < span.end(); ++position) {
            batch.add_row(position, sequence.tokens[static_cast<std::size_t>(position)]);
        }
    }
    if (prefault_ == nullptr) return {};
    for_each_sequence(plan.rows, [&](const auto& rows) {
        for (const BlockId block : rows.new_blocks) prefault_->used(block.value);
    });
    return {};
}

Status StageRunner::upload_activations(const ActivationRows& rows, PartSlot& slot) {
    const auto count = static_cast<std::size_t>(rows.rows);
    const ActivationFormat format{rows.type, rows.exact_values};
    MOLINK_RETURN_IF_ERROR(decode_activations(format, rows.bf16_rows, rows.bytes,
                                              slot.host_rows(count), slot.width()));
    slot.upload_rows(*compute_, count);
    return {};
}

void StageRunner::enqueue_rows_out(std::vector<std::int32_t> rows, PartSlot& slot) {
    copies_out_->after(*compute_, compute_->record());
    slot.download_rows(*copies_out_, std::move(rows));
    slot.last = copies_out_.get();
}

std::vector<std::int32_t> StageRunner::needed_rows(std::span<const RowSpan> spans) const {
    std::vector<std::int32_t> needed;
    std::int32_t row = 0;
    for (const RowSpan& span : spans) {
        const std::int32_t count = logit_row_count(span, table_->at(span.sequence));
        for (std::int32_t i = span.count - count; i < span.count; ++i) needed.push_back(row + i);
        row += span.count;
    }
    return needed;
}

/// Lists the rows that the host samples first and the greedy rows after them.
Status StageRunner::list_logit_rows(bool returned, PartSlot& slot) {
    std::int64_t host = 0;
    for (const bool greedy : {false, true}) {
        std::int32_t row = 0;
        for (const RowSpan& span : slot.spans) {
            const StageSequence& sequence = table_->at(span.sequence);
            const std::int32_t count = logit_row_count(span, sequence);
            row += returned ? count : span.count;
            if (RunSampler::is_greedy(span, sequence) != greedy) continue;
            for (std::int32_t i = row - count; i < row; ++i) slot.batch().add_wanted(i);
        }
        if (!greedy) host = slot.batch().wanted_count();
    }
    return slot.split_sampling(backend_, host);
}

void StageRunner::enqueue_sampling(PartSlot& slot) {
    const DeviceBatch& batch = slot.batch();
    const std::int64_t wanted = batch.wanted_count();
    for (std::int64_t done = 0; done < wanted; done += traits_.logit_rows) {
        const std::int64_t now = std::min<std::int64_t>(traits_.logit_rows, wanted - done);
        const float* logits = model_->logits(*compute_, slot.hidden(), batch.wanted() + done, now);
        slot.enqueue_sampling(*compute_, logits, done, now);
    }
    slot.download_best(*compute_);
    slot.last = compute_.get();
}

StageOutput StageRunner::output(PartPlan& part, PartSlot& slot) {
    return output_of_layers(part, {}, slot);
}

StageOutput StageRunner::output(ForwardedPart& part, PartSlot& slot) {
    return output_of_layers(part.plan, std::move(part.stage_times), slot);
}

StageOutput StageRunner::output_of_layers(PartPlan& plan, std::vector<StageTime> times,
                                          PartSlot& slot) {
    if (!config_.is_last()) {
        ActivationRows rows = encode_rows(slot);
        return ForwardedPart{std::move(plan), std::move(rows), std::move(times),
                             std::move(slot.faults)};
    }
    if (config_.ring.returns()) {
        ActivationRows rows = encode_rows(slot);
        return make_returned(plan, std::move(rows), std::move(times), std::move(slot.faults));
    }
    return retire(plan.key, plan.kind(), std::move(times), slot);
}

StageOutput StageRunner::output(ReturnedPart& part, PartSlot& slot) {
    return retire(part.key, part.kind, std::move(part.stage_times), slot);
}

/// Notes that the row of the part with this index has no usable result.
void StageRunner::note_fault(std::int32_t row, RowFaultKind kind, PartSlot& slot) const {
    add_row_fault(slot.faults, slot.spans, row, static_cast<std::uint32_t>(config_.stage), kind);
}

/// Encodes the rows for another stage, and notes those that are no numbers or do not fit.
ActivationRows StageRunner::encode_rows(PartSlot& slot) const {
    const ActivationFormat& format = config_.activation_format;
    const std::size_t rows = slot.rows_out.size();
    EncodedRows encoded = encode_activations(format, slot.host_rows(rows), slot.width());
    for (const std::uint32_t row : encoded.not_finite) {
        note_fault(slot.rows_out[row], RowFaultKind::hidden, slot);
    }
    for (const std::uint32_t row : encoded.too_large) {
        note_fault(slot.rows_out[row], RowFaultKind::range, slot);
    }
    return {format.type, static_cast<std::int32_t>(rows), std::move(encoded.bytes),
            format.exact_values, std::move(encoded.bf16_rows)};
}

RetiredPart StageRunner::retire(const PartKey& key, PartKind kind, std::vector<StageTime> times,
                                PartSlot& slot) {
    const auto vocabulary = static_cast<std::size_t>(spec_.vocabulary);
    const float* logits = slot.host_logits();
    const Token* best = slot.host_best();
    SampledPart part;
    part.stage = static_cast<std::uint32_t>(config_.stage);
    part.faults = std::move(slot.faults);
    for (const RowSpan& span : slot.spans) {
        StageSequence& sequence = table_->at(span.sequence);
        const auto rows = static_cast<std::size_t>(logit_row_count(span, sequence));
        if (rows == 0) continue;
        if (RunSampler::is_greedy(span, sequence)) {
            RunSampler::keep_accepted(span, sequence, {best, rows}, part);
            best += rows;
        } else {
            sampler_.sample(span, sequence, {logits, rows * vocabulary}, part);
            logits += rows * vocabulary;
        }
    }
    return {key, kind, std::move(part.rows), std::move(times), std::move(part.faults)};
}

}  // namespace molink
