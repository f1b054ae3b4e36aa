#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <molink/status.h>

#include "backend/backend.h"
#include "model/model.h"
#include "stage/kv_prefault.h"
#include "stage/run_sampler.h"
#include "stage/sequence_table.h"
#include "stage/stage_executor.h"

namespace molink {

/// The layers of one epoch with their KV pages: runs parts. Thread: the stage's compute thread.
class StageRunner {
public:
    /// `backend` must outlive it.
    StageRunner(Backend& backend, std::unique_ptr<Model> model, const ModelSpec& spec,
                const StageConfig& config, DataType kv_type, std::int32_t block_tokens);

    /// KV blocks that fit into the stage's memory beside weights and workspace.
    /// Errors: resource_exhausted, with the numbers, when not one fits.
    Result<std::uint64_t> block_capacity() const;
    /// Allocates the pages. Errors: resource_exhausted.
    Status start(std::uint64_t kv_blocks);
    /// Runs a part. Errors: data_loss when it does not fit what the stage knows.
    Result<StageOutput> run(StageInput input);

    std::uint64_t weight_bytes() const { return model_->weight_bytes(); }

private:
    Result<StageOutput> run_layers(PartPlan plan, const ActivationRows* input,
                                   std::vector<StageTime> times);
    Status gather(const PartPlan& plan, std::span<const RowSpan> spans);
    Status read_rows(const ActivationRows& rows);
    Result<StageOutput> sample_returned(const ReturnedPart& part);
    /// Rows whose logits are needed, as indices into the rows of the part.
    std::vector<std::int32_t> needed_rows(std::span<const RowSpan> spans) const;
    /// Rows of hidden_ in the format of links.
    ActivationRows encode_rows(std::span<const std::int32_t> rows);
    /// Final norm, LM head and sampling; `rows` of hidden_ are those that need logits.
    std::vector<SampledRows> sample(std::span<const RowSpan> spans,
                                    std::span<const std::int32_t> rows);
    std::size_t width() const { return static_cast<std::size_t>(spec_.hidden); }

    Backend& backend_;
    std::unique_ptr<Model> model_;
    ModelSpec spec_;
    StageConfig config_;
    ElementType kv_type_;
    std::int32_t block_tokens_;
    std::unique_ptr<SequenceTable> table_;
    std::vector<std::unique_ptr<DeviceBuffer>> page_buffers_;  // [layers]
    std::vector<KvPages> pages_;
    std::unique_ptr<KvPrefault> prefault_;  // of page_buffers_
    std::unique_ptr<DeviceBuffer> hidden_;  // [max_rows, hidden]
    std::vector<float> host_hidden_;        // for the wire
    std::vector<std::int32_t> ids_;
    std::vector<std::int32_t> positions_;
    std::vector<std::int32_t> sequence_of_row_;
    std::vector<std::int64_t> block_offsets_;
    std::vector<std::uint32_t> block_ids_;
    std::vector<float> logits_;
    RunSampler sampler_;
};

}  // namespace molink
