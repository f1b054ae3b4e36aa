#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <molink/status.h>

#include "backend/backend.h"
#include "model/model.h"
#include "stage/kv_prefault.h"
#include "stage/part_slot.h"
#include "stage/run_sampler.h"
#include "stage/sequence_table.h"
#include "stage/stage_executor.h"
#include "stage/stage_memory.h"

namespace molink {

/// Runs the parts of one epoch, with the layers of the stage and their KV pages. Parts are computed
/// in the order in which they begin. Parts may begin before earlier ones are finished, up to
/// BackendTraits::parts_ahead of them. Thread: the stage's compute thread.
class StageRunner {
public:
    /// `backend` must outlive this object.
    StageRunner(Backend& backend, std::unique_ptr<Model> model, const ModelSpec& spec,
                const StageConfig& config, const CacheFormat& cache);
    /// Waits for the parts under way.
    ~StageRunner();

    /// Returns the number of KV blocks that fit into the stage's memory beside weights and
    /// workspace. Errors: resource_exhausted, with the numbers, when no block fits.
    Result<std::uint64_t> block_capacity() const;
    /// Allocates pages and slots. Errors: resource_exhausted.
    Status start(std::uint64_t kv_blocks);
    /// Enqueues a part. At most BackendTraits::parts_ahead others may be under way. Errors:
    /// data_loss when the part contradicts the state of its sequences, resource_exhausted. No part
    /// can run after an error.
    Status begin(StageInput input);
    /// Waits for the oldest part under way and returns its output. Errors: those of the device. No
    /// part can run after an error.
    Result<StageOutput> finish();

    /// Waits for the parts under way and gives the layers away. Nothing else can follow.
    std::unique_ptr<Model> take_model();

    std::uint64_t weight_bytes() const { return model_->weight_bytes(); }

private:
    void wait();
    ModelBounds bounds() const;
    std::size_t layer_count() const { return static_cast<std::size_t>(config_.layers.size()); }
    Status allocate_pages(std::uint64_t kv_blocks);
    Status enqueue_layers(const PartPlan& plan, const ActivationRows* activations, PartSlot& slot);
    Status enqueue(const PartPlan& part, PartSlot& slot);
    Status enqueue(const ForwardedPart& part, PartSlot& slot);
    Status enqueue(const ReturnedPart& part, PartSlot& slot);
    Status check_under_way(const PartPlan& plan) const;
    Status gather(const PartPlan& plan, PartSlot& slot);
    Status upload_activations(const ActivationRows& rows, PartSlot& slot);
    /// Enqueues the copy of `rows` of the slot to the host, for another stage.
    void enqueue_rows_out(std::vector<std::int32_t> rows, PartSlot& slot);
    /// Lists the rows that need logits. With `returned`, the slot's hidden rows are only these
    /// rows.
    Status list_logit_rows(bool returned, PartSlot& slot);
    /// Enqueues final norm, LM head and sampling of the listed rows.
    void enqueue_sampling(PartSlot& slot);

    StageOutput output(PartPlan& part, PartSlot& slot);
    StageOutput output(ForwardedPart& part, PartSlot& slot);
    StageOutput output(ReturnedPart& part, PartSlot& slot);
    StageOutput output_of_layers(PartPlan& plan, std::vector<StageTime> times, PartSlot& slot);
    void note_fault(std::int32_t row, RowFaultKind kind, PartSlot& slot) const;
    ActivationRows encode_rows(PartSlot& slot) const;
    RetiredPart retire(const PartKey& key, PartKind kind, std::vector<StageTime> times,
                       PartSlot& slot);
    std::vector<std::int32_t> needed_rows(std::span<const RowSpan> spans) const;

    Backend& backend_;
    BackendTraits traits_;
    std::unique_ptr<Stream> compute_;
    std::unique_ptr<Stream> copies_out_;  // copies rows out while the next part computes
    std::unique_ptr<Model> model_;
    ModelSpec spec_;
    StageConfig config_;
    CacheFormat cache_;
    std::unique_ptr<SequenceTable> table_;
    std::vector<std::unique_ptr<DeviceBuffer>> page_buffers_;  // [layers]
    std::vector<KvPages> pages_;                               // [layers]
    std::unique_ptr<KvPrefault> prefault_;                     // of page_buffers_
    std::vector<PartSlot> slots_;                              // used in turn
    std::size_t oldest_ = 0;                                   // slot of the oldest part under way
    std::size_t begun_ = 0;                                    // parts under way
    RunSampler sampler_;
};

}  // namespace molink
