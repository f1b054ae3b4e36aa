// Loading a range of layers: exact sizes first, then tensor by tensor from the mapped checkpoint
// into the backend's own layout, each released once it is packed, so that a stage touches only its
// own layers and the host never holds them twice.
#include <algorithm>
#include <cstring>

#include "backend/device_copier.h"
#include "base/error.h"
#include "model/model_parts.h"
#include "model/rope_table.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

struct Widths {
    std::int64_t hidden, q, kv, ffn, vocabulary;
    explicit Widths(const ModelSpec& spec)
        : hidden(spec.hidden),
          q(std::int64_t{spec.attention.heads} * spec.attention.head_dim),
          kv(std::int64_t{spec.attention.kv_heads} * spec.attention.head_dim),
          ffn(spec.mlp.ffn),
          vocabulary(spec.vocabulary) {}
};

DataType matrix_type(const ModelSpec& spec, WeightStorage storage) {
    return storage == WeightStorage::q8_0 ? DataType::q8_0 : spec.stored_type;
}

std::uint64_t layer_bytes(const Backend& backend, const ModelSpec& spec, WeightStorage storage) {
    const Widths w(spec);
    const DataType type = matrix_type(spec, storage);
    std::uint64_t bytes = backend.packed_bytes(w.q + 2 * w.kv, w.hidden, type) +
                          backend.packed_bytes(w.hidden, w.q, type) +
                          backend.packed_bytes(2 * w.ffn, w.hidden, type) +
                          backend.packed_bytes(w.hidden, w.ffn, type) +
                          static_cast<std::uint64_t>(2 * w.hidden) * sizeof(float);
    const AttentionSpec& a = spec.attention;
    if (a.q_bias || a.k_bias || a.v_bias) bytes += static_cast<std::uint64_t>(w.q + 2 * w.kv) * 4;
    if (a.o_bias) bytes += static_cast<std::uint64_t>(w.hidden) * 4;
    if (spec.mlp.bias) bytes += static_cast<std::uint64_t>(2 * w.ffn + w.hidden) * 4;
    return bytes;
}

/// Reads matrices of a checkpoint and packs them stacked.
class Packer {
public:
    Packer(Backend& backend, const Checkpoint& checkpoint, WeightStorage storage)
        : backend_(backend),
          checkpoint_(checkpoint),
          storage_(storage),
          stream_(backend.make_stream()),
          copier_(backend, *stream_) {}

    struct Source {
        const std::string& name;
        std::int64_t n;
    };

    Status matrix(std::initializer_list<Source> sources, std::int64_t k,
                  std::unique_ptr<PackedMatrix>& out) const {
        std::vector<MatrixSource> parts;
        std::vector<TensorView> views;
        for (const Source& source : sources) {
            const std::int64_t shape[2] = {source.n, k};
            MOLINK_ASSIGN_OR_RETURN(TensorView view, checkpoint_.tensor(source.name, shape));
            parts.push_back({view.data, view.type, source.n, k});
            views.push_back(std::move(view));
        }
        const DataType type = storage_ == WeightStorage::q8_0 ? DataType::q8_0 : views[0].type;
        auto packed = backend_.pack(parts.data(), parts.size(), type);
        if (!packed) return packed.error().with_context(views[0].name);
        out = std::move(*packed);
        for (const TensorView& view : views) checkpoint_.release(view);
        return {};
    }

    /// Vectors as float32, one after the other; an empty name stands for zeros.
    Status vectors(std::initializer_list<Source> sources, std::unique_ptr<DeviceBuffer>& out) {
        std::vector<float> values;
        bool any = false;
        for (const Source& source : sources) {
            const std::size_t begin = values.size();
            values.resize(begin + static_cast<std::size_t>(source.n), 0.0f);
            if (source.name.empty()) continue;
            any = true;
            const std::int64_t shape[1] = {source.n};
            MOLINK_ASSIGN_OR_RETURN(const TensorView view, checkpoint_.tensor(source.name, shape));
            widen(view, values.data() + begin);
        }
        if (!any) return {};
        return upload(values.data(), values.size() * sizeof(float), out);
    }

    /// Host memory of any kind, as it is.
    Status upload(const void* from, std::size_t bytes, std::unique_ptr<DeviceBuffer>& out) {
        MOLINK_ASSIGN_OR_RETURN(out, backend_.allocate(bytes));
        return copier_.to_device(out->data(), from, bytes);
    }

    static void widen(const TensorView& view, float* out) {
        const std::size_t element = data_type_bytes(view.type);
        for (std::size_t i = 0; i < view.bytes / element; ++i) {
            const std::byte* from = view.data + i * element;
            if (view.type == DataType::f32) {
                std::memcpy(out + i, from, 4);
                continue;
            }
            std::uint16_t bits;
            std::memcpy(&bits, from, 2);
            out[i] = view.type == DataType::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits);
        }
    }

private:
    Backend& backend_;
    const Checkpoint& checkpoint_;
    WeightStorage storage_;
    std::unique_ptr<Stream> stream_;
    DeviceCopier copier_;
};

}  // namespace

DeviceBatch::Bounds ModelBounds::batch() const {
    const std::int64_t blocks = (std::int64_t{max_context} + block_tokens - 1) / block_tokens;
    const std::int64_t sequences = std::min(max_rows, max_sequences);
    return {max_rows, sequences, sequences * blocks};
}

std::uint64_t part_weight_bytes(const Backend& backend, const ModelSpec& spec,
                                const ModelPart& part, WeightStorage storage) {
    const Widths w(spec);
    std::uint64_t bytes =
        static_cast<std::uint64_t>(part.layers.size()) * layer_bytes(backend, spec, storage);
    if (part.has_embedding) {
        bytes +=
            static_cast<std::uint64_t>(w.vocabulary * w.hidden) * data_type_bytes(spec.stored_type);
    }
    if (part.has_head) {
        bytes += backend.packed_bytes(w.vocabulary, w.hidden, matrix_type(spec, storage)) +
                 static_cast<std::uint64_t>(w.hidden) * sizeof(float);
    }
    return bytes;
}

std::uint64_t part_workspace_bytes(const Backend& backend, const ModelSpec& spec,
                                   const ModelBounds& bounds) {
    const Widths w(spec);
    const BackendTraits traits = backend.traits();
    const std::int64_t widest = std::max({w.hidden, w.q, w.ffn});
    const std::int32_t norm_rows = std::max(bounds.max_rows, traits.logit_rows);
    return traits.activation_bytes(bounds.max_rows, w.hidden + 2 * w.q + 2 * w.kv + 3 * w.ffn) +
           traits.activation_bytes(norm_rows, w.hidden) +
           static_cast<std::uint64_t>(traits.logit_rows * (w.hidden + w.vocabulary)) * 4 +
           backend.matmul_workspace_bytes(norm_rows, widest) +
           static_cast<std::uint64_t>(bounds.max_context) *
               static_cast<std::uint64_t>(spec.rope.rotary_dim) * 4 +
           // What the stage holds for each part under way: hidden rows and the part's record.
           static_cast<std::uint64_t>(1 + traits.parts_ahead) *
               (static_cast<std::uint64_t>(bounds.max_rows * w.hidden) * 4 +
                DeviceBatch::bytes(bounds.batch()));
}

Status Model::make_buffers(const ModelBounds& bounds) {
    const Widths w(spec_);
    buffers_ = std::make_unique<Buffers>();
    const auto make = [&](std::unique_ptr<DeviceBuffer>& buffer, std::size_t bytes) -> Status {
        MOLINK_ASSIGN_OR_RETURN(buffer, backend_.allocate(bytes));
        return {};
    };
    const auto activations = [&](std::unique_ptr<DeviceBuffer>& buffer, std::int64_t rows,
                                 std::int64_t width) {
        return make(buffer, traits_.activation_bytes(rows, width));
    };
    const auto floats = [&](std::unique_ptr<DeviceBuffer>& buffer, std::int64_t rows,
                            std::int64_t width) {
        return make(buffer, static_cast<std::size_t>(rows * width) * sizeof(float));
    };
    const std::int64_t rows = bounds.max_rows;
    const std::int64_t norm_rows = std::max<std::int64_t>(rows, traits_.logit_rows);
    MOLINK_RETURN_IF_ERROR(activations(buffers_->normed, norm_rows, w.hidden));
    MOLINK_RETURN_IF_ERROR(activations(buffers_->qkv, rows, w.q + 2 * w.kv));
    MOLINK_RETURN_IF_ERROR(activations(buffers_->attended, rows, w.q));
    MOLINK_RETURN_IF_ERROR(activations(buffers_->projected, rows, w.hidden));
    MOLINK_RETURN_IF_ERROR(activations(buffers_->gate_up, rows, 2 * w.ffn));
    MOLINK_RETURN_IF_ERROR(activations(buffers_->activated, rows, w.ffn));
    if (part_.has_head) {
        MOLINK_RETURN_IF_ERROR(floats(buffers_->taken, traits_.logit_rows, w.hidden));
        MOLINK_RETURN_IF_ERROR(floats(buffers_->logits, traits_.logit_rows, w.vocabulary));
    }
    const std::int64_t widest = std::max({w.hidden, w.q, w.ffn});
    MOLINK_RETURN_IF_ERROR(
        make(buffers_->workspace, backend_.matmul_workspace_bytes(norm_rows, widest)));
    const RopeTable table = make_rope_table(spec_.rope, bounds.max_context);
    const std::size_t bytes = table.cos.size() * sizeof(float);
    const std::unique_ptr<Stream> stream = backend_.make_stream();
    DeviceCopier copier(backend_, *stream);
    MOLINK_RETURN_IF_ERROR(make(buffers_->cos, bytes));
    MOLINK_RETURN_IF_ERROR(make(buffers_->sin, bytes));
    MOLINK_RETURN_IF_ERROR(copier.to_device(buffers_->cos->data(), table.cos.data(), bytes));
    return copier.to_device(buffers_->sin->data(), table.sin.data(), bytes);
}

Status Model::load_layer(const Checkpoint& checkpoint, const LayerTensors& names,
                         WeightStorage storage, Layer& layer) {
    const Widths w(spec_);
    Packer packer(backend_, checkpoint, storage);
    MOLINK_RETURN_IF_ERROR(
        packer.vectors({{names.attention_norm, w.hidden}}, layer.attention_norm));
    MOLINK_RETURN_IF_ERROR(
        packer.matrix({{names.q, w.q}, {names.k, w.kv}, {names.v, w.kv}}, w.hidden, layer.qkv));
    MOLINK_RETURN_IF_ERROR(packer.vectors(
        {{names.q_bias, w.q}, {names.k_bias, w.kv}, {names.v_bias, w.kv}}, layer.qkv_bias));
    MOLINK_RETURN_IF_ERROR(packer.matrix({{names.o, w.hidden}}, w.q, layer.o));
    MOLINK_RETURN_IF_ERROR(packer.vectors({{names.o_bias, w.hidden}}, layer.o_bias));
    MOLINK_RETURN_IF_ERROR(packer.vectors({{names.mlp_norm, w.hidden}}, layer.mlp_norm));
    MOLINK_RETURN_IF_ERROR(
        packer.matrix({{names.gate, w.ffn}, {names.up, w.ffn}}, w.hidden, layer.gate_up));
    MOLINK_RETURN_IF_ERROR(
        packer.vectors({{names.gate_bias, w.ffn}, {names.up_bias, w.ffn}}, layer.gate_up_bias));
    MOLINK_RETURN_IF_ERROR(packer.matrix({{names.down, w.hidden}}, w.ffn, layer.down));
    return packer.vectors({{names.down_bias, w.hidden}}, layer.down_bias);
}

Status Model::load_outer(const Checkpoint& checkpoint, const Described& described,
                         WeightStorage storage) {
    const Widths w(spec_);
    const OuterTensors names = described.architecture->outer_tensors(spec_);
    Packer packer(backend_, checkpoint, storage);
    if (part_.has_embedding) {
        const std::int64_t shape[2] = {w.vocabulary, w.hidden};
        MOLINK_ASSIGN_OR_RETURN(const TensorView view, checkpoint.tensor(names.embedding, shape));
        embedding_type_ = element_type(view.type);
        MOLINK_RETURN_IF_ERROR(packer.upload(view.data, view.bytes, embedding_));
        checkpoint.release(view);
    }
    if (!part_.has_head) return {};
    MOLINK_RETURN_IF_ERROR(packer.vectors({{names.final_norm, w.hidden}}, final_norm_));
    return packer.matrix({{names.head, w.vocabulary}}, w.hidden, head_);
}

Status Model::load_layers(const Checkpoint& checkpoint, const Described& described,
                          WeightStorage storage, const std::function<Status()>& progress) {
    for (std::int32_t i = part_.layers.begin; i < part_.layers.end; ++i) {
        Layer layer;
        MOLINK_RETURN_IF_ERROR(load_layer(
            checkpoint, described.architecture->layer_tensors(spec_, i), storage, layer));
        layers_.push_back(std::move(layer));
        MOLINK_RETURN_IF_ERROR(progress());
    }
    return {};
}

Result<std::unique_ptr<Model>> Model::load(Backend& backend, const Checkpoint& checkpoint,
                                           const Described& described, const ModelPart& part,
                                           WeightStorage storage, const ModelBounds& bounds,
                                           const LoadStep& step) {
    const ModelSpec& spec = described.spec;
    const LayerRange layers = part.layers;
    if (layers.begin < 0 || layers.end > spec.layers || layers.end < layers.begin) {
        return invalid_argument("layers {}-{} of a model of {}", layers.begin, layers.end - 1,
                                spec.layers);
    }
    std::unique_ptr<Model> model(new Model(backend, spec, part));
    const std::uint64_t total = part_weight_bytes(backend, spec, part, storage);
    const std::uint64_t each = layer_bytes(backend, spec, storage);
    std::uint64_t done = 0;
    const auto progress = [&](std::uint64_t more) -> Status {
        done += more;
        if (!step || step(done, total)) return {};
        return Status(StatusCode::cancelled, "loading was stopped");
    };
    MOLINK_RETURN_IF_ERROR(progress(0));
    MOLINK_RETURN_IF_ERROR(
        model->load_layers(checkpoint, described, storage, [&] { return progress(each); }));
    MOLINK_RETURN_IF_ERROR(model->load_outer(checkpoint, described, storage));
    MOLINK_RETURN_IF_ERROR(model->make_buffers(bounds));
    model->weight_bytes_ = total;
    MOLINK_RETURN_IF_ERROR(progress(total - done));
    return model;
}

}  // namespace molink
