// One part through one stage: tokens or activations in, layers, activations or sampled tokens out.
// The ragged batch is built anew for every part from the sequence table. Rows whose logits nobody
// asks for never meet the LM head; where that is on the first stage, they do not go back to it.
#include "stage/stage_runner.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "stage/part_return.h"
#include "wire/activation_codec.h"

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
    const ModelBounds bounds{config_.max_rows, config_.max_context};
    const std::uint64_t workspace = part_workspace_bytes(backend_, spec_, bounds);
    const std::uint64_t used = weight_bytes() + workspace;
    const std::uint64_t block = static_cast<std::uint64_t>(config_.layers.size()) *
                                backend_.kv_block_bytes(block_tokens_, spec_.attention.kv_heads,
                                                        spec_.attention.head_dim, kv_type_);
    if (config_.memory_bytes < used + block) {
        return make_error(
            StatusCode::resource_exhausted,
            "layers {}-{} need {} bytes of weights, {} of workspace and {} per KV block; "
            "the node may use {}",
            config_.layers.begin, config_.layers.end - 1, weight_bytes(), workspace, block,
            config_.memory_bytes);
    }
    return std::min((config_.memory_bytes - used) / block, config_.max_kv_blocks);
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
    bounds.has_embedding = config_.has_embedding;
    table_ = std::make_unique<SequenceTable>(bounds);
    return {};
}

Status StageRunner::gather(const Part& part) {
    MOLINK_RETURN_IF_ERROR(table_->apply(part));
    ids_.clear();
    positions_.clear();
    sequence_of_row_.clear();
    block_ids_.clear();
    block_offsets_.assign(1, 0);
    for (std::size_t s = 0; s < part.runs.size(); ++s) {
        const SequenceRun& run = part.runs[s];
        const StageSequence& sequence = table_->at(run.id);
        for (std::int32_t i = 0; i < run.count; ++i) {
            const std::int32_t position = run.position + i;
            positions_.push_back(position);
            sequence_of_row_.push_back(static_cast<std::int32_t>(s));
            ids_.push_back(sequence.tokens[static_cast<std::size_t>(position)]);
        }
        for (const BlockId block : run.new_blocks) prefault_->used(block.value);
        block_ids_.insert(block_ids_.end(), sequence.blocks.begin(), sequence.blocks.end());
        block_offsets_.push_back(static_cast<std::int64_t>(block_ids_.size()));
    }
    return {};
}

Status StageRunner::read_input(const Part& part, std::int64_t rows) {
    if (!config_.has_embedding) return read_rows(part, rows);
    model_->embed(ids_.data(), rows, static_cast<float*>(hidden_->data()));
    return {};
}

Status StageRunner::read_rows(const Part& part, std::int64_t rows) {
    host_hidden_.resize(static_cast<std::size_t>(rows * spec_.hidden));
    MOLINK_RETURN_IF_ERROR(
        decode_activations(part.activation_type, part.activations, host_hidden_, width()));
    backend_.copy_to_device(hidden_->data(), host_hidden_.data(),
                            host_hidden_.size() * sizeof(float));
    return {};
}

Result<PartResult> StageRunner::run(Part part) {
    if (part.returns()) return sample_returned(std::move(part));
    MOLINK_RETURN_IF_ERROR(gather(part));
    const auto rows = static_cast<std::int64_t>(positions_.size());
    MOLINK_RETURN_IF_ERROR(read_input(part, rows));
    BatchArgs batch;
    batch.positions = positions_.data();
    batch.sequence_of_row = sequence_of_row_.data();
    batch.block_offsets = block_offsets_.data();
    batch.block_ids = block_ids_.data();
    batch.rows = rows;
    batch.sequences = static_cast<std::int64_t>(part.runs.size());
    model_->run_layers(batch, pages_, static_cast<float*>(hidden_->data()));
    PartResult result;
    if (config_.samples(part)) {
        sample(part, wanted_rows(part), result);
        part.activations.clear();
    } else {
        std::vector<std::int32_t> out(positions_.size());
        std::iota(out.begin(), out.end(), 0);
        if (config_.last_stage) {
            out = wanted_rows(part);
            turn_back(part, static_cast<std::int32_t>(out.size()));
        }
        copy_out(out);
        part.activation_type = config_.activation_type;
        part.activations = encode_activations(config_.activation_type, host_hidden_, width());
    }
    result.part = std::move(part);
    return result;
}

/// What is left to do when a part comes back to the LM head.
Result<PartResult> StageRunner::sample_returned(Part part) {
    if (!config_.samples(part)) {
        return make_error(StatusCode::data_loss, "part {} came back to a stage without LM head",
                          part.id.value);
    }
    MOLINK_RETURN_IF_ERROR(table_->check_returned(part));
    MOLINK_RETURN_IF_ERROR(read_rows(part, part.head_rows));
    std::vector<std::int32_t> rows(static_cast<std::size_t>(part.head_rows));
    std::iota(rows.begin(), rows.end(), 0);
    PartResult result;
    sample(part, rows, result);
    part.activations.clear();
    result.part = std::move(part);
    return result;
}

/// Copies rows of hidden_ to host_hidden_, neighbours at once.
void StageRunner::copy_out(std::span<const std::int32_t> rows) {
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
}

std::vector<std::int32_t> StageRunner::wanted_rows(const Part& part) const {
    std::vector<std::int32_t> wanted;
    std::int32_t row = 0;
    for (const SequenceRun& run : part.runs) {
        const std::int32_t count = logit_row_count(run, table_->at(run.id));
        for (std::int32_t i = run.count - count; i < run.count; ++i) wanted.push_back(row + i);
        row += run.count;
    }
    return wanted;
}

void StageRunner::sample(const Part& part, std::span<const std::int32_t> wanted,
                         PartResult& result) {
    const auto vocabulary = static_cast<std::size_t>(spec_.vocabulary);
    logits_.resize(wanted.size() * vocabulary);
    const auto* hidden = static_cast<const float*>(hidden_->data());
    for (std::size_t done = 0; done < wanted.size(); done += kLogitRows) {
        const std::size_t now = std::min<std::size_t>(kLogitRows, wanted.size() - done);
        const float* out =
            model_->logits(hidden, wanted.data() + done, static_cast<std::int64_t>(now));
        backend_.copy_to_host(logits_.data() + done * vocabulary, out,
                              now * vocabulary * sizeof(float));
    }
    std::size_t first = 0;  // of the run among the wanted rows
    for (const SequenceRun& run : part.runs) {
        StageSequence& sequence = table_->at(run.id);
        const auto rows = static_cast<std::size_t>(logit_row_count(run, sequence));
        if (rows == 0) continue;
        const auto logits =
            std::span<const float>(logits_).subspan(first * vocabulary, rows * vocabulary);
        result.sampled.push_back(sampler_.sample(run, sequence, logits));
        first += rows;
    }
}

}  // namespace molink
