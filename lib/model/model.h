#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "backend/backend.h"
#include "backend/device_batch.h"
#include "loader/weight_source.h"
#include "model/arch_table.h"
#include "model/layer.h"
#include "model/weight_loader.h"

namespace molink {

/// The part of a model that a stage holds.
struct ModelPart {
    LayerRange layers;
    bool has_embedding = false;
    bool has_lm_head = false;

    friend bool operator==(const ModelPart&, const ModelPart&) = default;
};

/// Bounds that determine the sizes of buffers.
struct ModelBounds {
    std::int32_t max_rows = 0;       ///< of one part
    std::int32_t max_context = 0;    ///< positions of one sequence
    std::int32_t max_sequences = 0;  ///< of one part
    std::int32_t block_tokens = 0;   ///< of a KV block

    DeviceBatch::Bounds batch() const;
    friend bool operator==(const ModelBounds&, const ModelBounds&) = default;
};

/// Returns the references of all tensors that a stage with this part loads, each once, in the order
/// of loading.
std::vector<TensorRef> part_tensors(const Described& described, const ModelPart& part);

/// Called while loading. When it returns false, loading stops and fails with `cancelled`.
using LoadStep = std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// Return the bytes on the backend of the part's weights, and of the buffers for these bounds:
/// those of the model and those of the parts under way.
std::uint64_t part_weight_bytes(const Backend& backend, const ModelSpec& spec,
                                const ModelPart& part, WeightFormat format);
std::uint64_t part_workspace_bytes(const Backend& backend, const ModelSpec& spec,
                                   const ModelBounds& bounds);

/// Returns the bytes of one cache block of layer `layer` of the model.
std::size_t layer_cache_block_bytes(const Backend& backend, const ModelSpec& spec,
                                    std::int32_t layer, const CacheFormat& format);

/// A range of layers of a model on a device, with its buffers. The residual stays float32. Pointers
/// are to device memory; calls enqueue ops on a stream, the same one for all calls, because the
/// buffers are shared. Thread: one caller at a time.
class Model {
public:
    /// `source` must outlive the call, and `backend` the model. Errors: invalid_argument when the
    /// model has no such layers, not_found and data_loss of the source (with file, tensor and
    /// offset), resource_exhausted, cancelled.
    static Result<std::unique_ptr<Model>> load(Backend& backend, const WeightSource& source,
                                               const Described& described, const ModelPart& part,
                                               WeightFormat format, const ModelBounds& bounds,
                                               const LoadStep& step = {});

    const ModelPart& part() const { return part_; }
    std::uint64_t weight_bytes() const { return weight_bytes_; }
    /// Returns the stored tensors that were loaded, with their hashes; sorted by name.
    const std::vector<LoadedTensor>& tensors() const { return tensors_; }

    /// Writes the embeddings of the token ids `ids` [rows], each in the vocabulary, to `hidden`
    /// [rows, hidden]. Only for a part with the embedding.
    void embed(Stream& stream, const std::int32_t* ids, std::int64_t rows, float* hidden);
    /// Runs the layers on `hidden` [batch.rows, hidden] in place. `pages[i]` are the pages of the
    /// part's i-th layer. The block tables of the batch must cover its rows.
    void run_layers(Stream& stream, const BatchArgs& batch, const std::vector<KvPages>& pages,
                    float* hidden);
    /// Applies the final norm and the LM head to the rows `wanted_rows` [rows] of `hidden`, at
    /// most BackendTraits::logit_rows of them. Returns their logits [rows, vocabulary], which the
    /// next call overwrites. Only for a part with the LM head.
    const float* logits(Stream& stream, const float* hidden, const std::int32_t* wanted_rows,
                        std::int64_t rows);

    /// Returns the bytes of one cache block of the part's layer `layer`, counted from its first.
    std::size_t cache_block_bytes(std::size_t layer, const CacheFormat& format) const {
        return layers_[layer].mixer->cache_block_bytes(backend_, format);
    }
    /// Returns the pages of the same layer in the memory at `base`, for run_layers().
    KvPages cache_pages(std::size_t layer, const CacheFormat& format, void* base) const {
        return layers_[layer].mixer->cache_pages(backend_, format, base);
    }

private:
    Model(Backend& backend, const ModelSpec& spec, const ModelPart& part);
    Status load_layers(WeightLoader& loader, const Described& described,
                       const std::function<Status()>& progress);
    Status load_outer(WeightLoader& loader, const Described& described);
    Status make_buffers(const ModelBounds& bounds);
    Status upload_rope_table(std::int32_t context);

    Backend& backend_;
    BackendTraits traits_;
    ModelSpec spec_;
    ModelPart part_;
    std::int64_t max_rows_ = 0;
    std::vector<Layer> layers_;
    std::unique_ptr<DeviceBuffer> embedding_;  // [vocabulary, hidden] as stored
    ElementType embedding_type_ = ElementType::f32;
    std::unique_ptr<DeviceBuffer> final_norm_;
    std::unique_ptr<PackedMatrix> lm_head_;
    std::unique_ptr<DeviceBuffer> scratch_;  // shared by the sublayers and the LM head
    std::unique_ptr<DeviceBuffer> logits_;   // [logit_rows, vocabulary]; with the LM head only
    std::unique_ptr<DeviceBuffer> cos_;      // [max_context, rotary_dim / 2]
    std::unique_ptr<DeviceBuffer> sin_;
    std::uint64_t weight_bytes_ = 0;
    std::vector<LoadedTensor> tensors_;
};

}  // namespace molink
