#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <molink/model_spec.h>
#include <molink/status.h>

#include "backend/backend.h"
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
    std::int32_t max_rows = 0;     ///< of one batch
    std::int32_t max_context = 0;  ///< positions of one sequence
};

/// Rows of LM-head output that are computed at once.
inline constexpr std::int32_t kLogitRows = 16;

/// Called while loading; false stops it (the load then fails with `cancelled`).
using LoadStep = std::function<bool(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

/// Bytes that the part's weights, and the buffers for one batch, take on the backend.
std::uint64_t part_weight_bytes(const Backend& backend, const ModelSpec& spec,
                                const ModelPart& part, WeightStorage storage);
std::uint64_t part_workspace_bytes(const Backend& backend, const ModelSpec& spec,
                                   const ModelBounds& bounds);

/// A range of layers of a model on a backend, with its buffers. The residual stays float32.
/// Thread: one caller at a time.
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
    void embed(const std::int32_t* ids, std::int64_t rows, float* hidden);
    /// Runs the layers on `hidden` [batch.rows, hidden] in place. `pages[i]` belongs to the part's
    /// i-th layer and already names the blocks of the batch.
    void run_layers(const BatchArgs& batch, const std::vector<KvPages>& pages, float* hidden);
    /// Final norm and LM head of the hidden rows listed: logits [rows, vocabulary], at most
    /// kLogitRows. Valid until the next call. Last stage only.
    const float* logits(const float* hidden, const std::int32_t* rows_to_take, std::int64_t rows);

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
    void attention(const Layer& layer, const BatchArgs& batch, const KvPages& pages,
                   std::size_t index, float* hidden);
    void mlp(const Layer& layer, std::int64_t rows, float* hidden);
    void norm(const float* x, const DeviceBuffer& weight, std::int64_t rows, float* out);
    void product(const PackedMatrix& weight, const DeviceBuffer* bias, const float* x,
                 std::int64_t rows, float* y);

    Backend& backend_;
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
