#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "backend/backend.h"
#include "backend/device_batch.h"
#include "loader/checkpoint.h"
#include "model/arch_table.h"

namespace molink {

/// Which part of a model a stage holds.
struct ModelPart {
    LayerRange layers;
    bool has_embedding = false;
    bool has_head = false;
};

/// Weights as stored, or matrices quantised while loading.
enum class WeightStorage : std::uint8_t { native, q8_0 };

/// Bounds that decide buffer sizes.
struct ModelBounds {
    std::int32_t max_rows = 0;       ///< of one part
    std::int32_t max_context = 0;    ///< positions of one sequence
    std::int32_t max_sequences = 0;  ///< of one part
    std::int32_t block_tokens = 0;   ///< of a KV block

    DeviceBatch::Bounds batch() const;
};

/// Called while loading; false stops it (the load then fails with `cancelled`).
using LoadStep = std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// Bytes that the part's weights, and the buffers for one batch, take on the backend.
std::uint64_t part_weight_bytes(const Backend& backend, const ModelSpec& spec,
                                const ModelPart& part, WeightStorage storage);
std::uint64_t part_workspace_bytes(const Backend& backend, const ModelSpec& spec,
                                   const ModelBounds& bounds);

/// A range of layers of a model on a device, with its buffers. The residual stays float32. Pointers
/// are to device memory; calls enqueue ops on a stream, the same one for all calls, because the
/// buffers are shared. Thread: one caller at a time.
class Model {
public:
    /// `backend` and `checkpoint` must outlive the call, `backend` the model.
    /// Errors: not_found and data_loss of the checkpoint, resource_exhausted, cancelled.
    static Result<std::unique_ptr<Model>> load(Backend& backend, const Checkpoint& checkpoint,
                                               const Described& described, const ModelPart& part,
                                               WeightStorage storage, const ModelBounds& bounds,
                                               const LoadStep& step = {});
    ~Model();

    const ModelPart& part() const { return part_; }
    std::uint64_t weight_bytes() const { return weight_bytes_; }

    /// Token ids [rows], each in the vocabulary, to hidden rows [rows, hidden]. First stage only.
    void embed(Stream& stream, const std::int32_t* ids, std::int64_t rows, float* hidden);
    /// Runs the layers on `hidden` [batch.rows, hidden] in place. `pages[i]` belongs to the part's
    /// i-th layer and already names the blocks of the batch.
    void run_layers(Stream& stream, const BatchArgs& batch, const std::vector<KvPages>& pages,
                    float* hidden);
    /// Final norm and LM head of the hidden rows listed: logits [rows, vocabulary], at most
    /// BackendTraits::logit_rows. The next call overwrites them. Stage with the LM head only.
    const float* logits(Stream& stream, const float* hidden, const std::int32_t* rows_to_take,
                        std::int64_t rows);

private:
    struct Layer;
    struct Buffers;

    Model(Backend& backend, const ModelSpec& spec, const ModelPart& part);
    Status load_layers(const Checkpoint& checkpoint, const Described& described,
                       WeightStorage storage, const std::function<Status()>& progress);
    Status load_layer(const Checkpoint& checkpoint, const LayerTensors& names,
                      WeightStorage storage, Layer& layer);
    Status load_outer(const Checkpoint& checkpoint, const Described& described,
                      WeightStorage storage);
    Status make_buffers(const ModelBounds& bounds);
    void attention(Stream& stream, const BatchArgs& batch, const KvPages& pages, std::size_t index,
                   float* hidden);
    void mlp(Stream& stream, const Layer& layer, std::int64_t rows, float* hidden);
    void norm(Stream& stream, const float* x, const DeviceBuffer& weight, std::int64_t rows,
              void* out);
    MatmulArgs product_args(const PackedMatrix& weight, const void* x, std::int64_t rows, void* y);
    void product(Stream& stream, const MatmulArgs& args, const DeviceBuffer* bias);

    Backend& backend_;
    BackendTraits traits_;
    ModelSpec spec_;
    ModelPart part_;
    std::vector<Layer> layers_;
    std::unique_ptr<DeviceBuffer> embedding_;  // [vocabulary, hidden] as stored
    ElementType embedding_type_ = ElementType::f32;
    std::unique_ptr<DeviceBuffer> final_norm_;
    std::unique_ptr<PackedMatrix> head_;
    std::unique_ptr<Buffers> buffers_;
    std::uint64_t weight_bytes_ = 0;
};

}  // namespace molink
