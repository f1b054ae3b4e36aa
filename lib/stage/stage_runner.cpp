// One part through one stage: tokens or activations in, layers, activations or sampled tokens out.
// The ragged batch is built anew for every part from the sequence table. Rows whose logits nobody
// asks for never meet the LM head; where that is on the first stage, they do not go back to it.
#include "stage/stage_runner.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "stage/stage_memory.h"
#include "stage/stage_output.h"
#include "tensor/activation_codec.h"

namespace molink {

StageRunner::StageRunner(Backend& backend, std::unique_ptr<Model> model, const ModelSpec& spec,
                         const StageConfig& config, DataType kv_type, std::int32_t block_tokens)
    : backend_(backend),
      model_(std::move(model)),
      spec_(spec),
      config_(config),
      kv_type_(kv_type == DataType::f16 ? ElementType::f16 : ElementType::f32),
      block_tokens_(block_tokens) {}

Result<std::uint64_t> StageRunner::block_capacity() const {
    return offered_blocks(backend_, spec_, config_, weight_bytes(), {kv_type_, block_tokens_});
}

Status StageRunner::start(std::uint64_t kv_blocks) {
    const AttentionSpec& attention = spec_.attention;
    const std::size_t block =
        backend_.kv_block_bytes(block_tokens_, attention.kv_heads, attention.head_dim, kv_type_);
    for (std::int32_t i = 0; i < config_.layers.size(); ++i) {
        MOLINK_ASSIGN_OR_RETURN(auto buffer, backend_.allocate(block * kv_blocks));
        KvPages pages;
        pages.base = buffer->data();
        pages.block_bytes = static_cast<std::int64_t>(block);
        pages.block_tokens = block_tokens_;
        pages.kv_heads = attention.kv_heads;
        pages.head_dim = attention.head_dim;
        pages.type = kv_type_;
        pages_.push_back(pages);
        page_buffers_.push_back(std::move(buffer));
    }
    // A block for every sequence, and what one part of prompts fills.
    const std::int32_t ahead = config_.max_sequences + config_.max_rows / block_tokens_;
    prefault_ = std::make_unique<KvPrefault>(page_buffers_, block, kv_blocks,
                                             static_cast<std::uint64_t>(ahead));
    const auto values =
        static_cast<std::size_t>(config_.max_rows) * static_cast<std::size_t>(spec_.hidden);
    MOLINK_ASSIGN_OR_RETURN(hidden_, backend_.allocate(values * sizeof(float)));
    host_hidden_.reserve(values);
    SequenceTable::Bounds bounds;
    bounds.max_rows = config_.max_rows;
    bounds.max_sequences = config_.max_sequences;
    bounds.max_context = config_.max_context;
    bounds.block_tokens = block_tokens_;
    bounds.vocabulary = spec_.vocabulary;
    bounds.kv_blocks = kv_blocks;
    table_ = std::make_unique<SequenceTable>(bounds);
    return {};
}

Status StageRunner::gather(const PartPlan& plan, std::span<const RowSpan> spans) {
    MOLINK_RETURN_IF_ERROR(table_->apply(plan));
    ids_.clear();
    positions_.clear();
    sequence_of_row_.clear();
    block_ids_.clear();
    block_offsets_.assign(1, 0);
    for (std::size_t s = 0; s < spans.size(); ++s) {
        const RowSpan& span = spans[s];
        const StageSequence& sequence = table_->at(span.sequence);
        for (std::int32_t position = span.position; position < span.end(); ++position) {
            positions_.push_back(position);
            sequence_of_row_.push_back(static_cast<std::int32_t>(s));
            ids_.push_back(sequence.tokens[static_cast<std::size_t>(position)]);
        }
        block_ids_.insert(block_ids_.end(), sequence.blocks.begin(), sequence.blocks.end());
        block_offsets_.push_back(static_cast<std::int64_t>(block_ids_.size()));
    }
    for_each_sequence(plan.rows, [&](const auto& rows) {
        for (const BlockId block : rows.new_blocks) prefault_->used(block.value);
    });
    return {};
}

Status StageRunner::read_rows(const ActivationRows& rows) {
    host_hidden_.resize(static_cast<std::size_t>(rows.rows) * width());
    MOLINK_RETURN_IF_ERROR(decode_activations(rows.type, rows.bytes, host_hidden_, width()));
    backend_.copy_to_device(hidden_->data(), host_hidden_.data(),
                            host_hidden_.size() * sizeof(float));
    return {};
}

Result<StageOutput> StageRunner::run(StageInput input) {
    if (const auto* returned = std::get_if<ReturnedPart>(&input)) return sample_returned(*returned);
    if (auto* plan = std::get_if<PartPlan>(&input)) {
        return run_layers(std::move(*plan), nullptr, {});
    }
    auto& forwarded = std::get<ForwardedPart>(input);
    return run_layers(std::move(forwarded.plan), &forwarded.activations,
                      std::move(forwarded.stage_times));
}

Result<StageOutput> StageRunner::run_layers(PartPlan plan, const ActivationRows* input,
                                            std::vector<StageTime> times) {
    if ((input == nullptr) != config_.has_embedding()) {
        return make_error(StatusCode::data_loss, "part {} comes {} activations to stage {}",
                          plan.key.id.value, input == nullptr ? "without" : "with", config_.stage);
    }
    const std::vector<RowSpan> spans = spans_of(plan.rows);
    MOLINK_RETURN_IF_ERROR(gather(plan, spans));
    const auto rows = static_cast<std::int64_t>(positions_.size());
    auto* hidden = static_cast<float*>(hidden_->data());
    if (input != nullptr) {
        MOLINK_RETURN_IF_ERROR(read_rows(*input));
    } else {
        model_->embed(ids_.data(), rows, hidden);
    }
    BatchArgs batch;
    batch.positions = positions_.data();
    batch.sequence_of_row = sequence_of_row_.data();
    batch.block_offsets = block_offsets_.data();
    batch.block_ids = block_ids_.data();
    batch.rows = rows;
    batch.sequences = static_cast<std::int64_t>(spans.size());
    model_->run_layers(batch, pages_, hidden);
    if (!config_.is_last()) {
        std::vector<std::int32_t> all(positions_.size());
        std::iota(all.begin(), all.end(), 0);
        return StageOutput(ForwardedPart{std::move(plan), encode_rows(all), std::move(times)});
    }
    const std::vector<std::int32_t> needed = needed_rows(spans);
    if (config_.ring.returns()) {
        return StageOutput(make_returned(plan, encode_rows(needed), std::move(times)));
    }
    return StageOutput(RetiredPart{plan.key, plan.kind(), sample(spans, needed), std::move(times)});
}

/// Samples a part that returns to the LM head.
Result<StageOutput> StageRunner::sample_returned(const ReturnedPart& part) {
    if (!config_.ring.returns() || !config_.has_lm_head()) {
        return make_error(StatusCode::data_loss, "part {} came back to a stage without LM head",
                          part.key.id.value);
    }
    MOLINK_RETURN_IF_ERROR(table_->check_returned(part));
    MOLINK_RETURN_IF_ERROR(read_rows(part.activations));
    std::vector<std::int32_t> rows(static_cast<std::size_t>(part.activations.rows));
    std::iota(rows.begin(), rows.end(), 0);
    return StageOutput(
        RetiredPart{part.key, part.kind, sample(part.spans, rows), part.stage_times});
}

/// Copies neighbouring rows at once.
ActivationRows StageRunner::encode_rows(std::span<const std::int32_t> rows) {
    host_hidden_.resize(rows.size() * width());
    const auto* hidden = static_cast<const float*>(hidden_->data());
    for (std::size_t i = 0; i < rows.size();) {
        std::size_t end = i + 1;
        while (end < rows.size() && rows[end] == rows[end - 1] + 1) ++end;
        backend_.copy_to_host(host_hidden_.data() + i * width(),
                              hidden + static_cast<std::size_t>(rows[i]) * width(),
                              (end - i) * width() * sizeof(float));
        i = end;
    }
    return {config_.activation_type, static_cast<std::int32_t>(rows.size()),
            encode_activations(config_.activation_type, host_hidden_, width())};
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

std::vector<SampledRows> StageRunner::sample(std::span<const RowSpan> spans,
                                             std::span<const std::int32_t> rows) {
    const auto vocabulary = static_cast<std::size_t>(spec_.vocabulary);
    logits_.resize(rows.size() * vocabulary);
    const auto* hidden = static_cast<const float*>(hidden_->data());
    for (std::size_t done = 0; done < rows.size(); done += kLogitRows) {
        const std::size_t now = std::min<std::size_t>(kLogitRows, rows.size() - done);
        const float* out =
            model_->logits(hidden, rows.data() + done, static_cast<std::int64_t>(now));
        backend_.copy_to_host(logits_.data() + done * vocabulary, out,
                              now * vocabulary * sizeof(float));
    }
    std::vector<SampledRows> sampled;
    std::size_t first = 0;  // of the sequence among the rows
    for (const RowSpan& span : spans) {
        StageSequence& sequence = table_->at(span.sequence);
        const auto count = static_cast<std::size_t>(logit_row_count(span, sequence));
        if (count == 0) continue;
        const auto logits =
            std::span<const float>(logits_).subspan(first * vocabulary, count * vocabulary);
        sampled.push_back(sampler_.sample(span, sequence, logits));
        first += count;
    }
    return sampled;
}

}  // namespace molink
