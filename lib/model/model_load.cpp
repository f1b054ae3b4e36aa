// Loads a range of layers, and computes its sizes on a device before anything is loaded. Each
// sublayer states its own sizes. The actual bytes of the weights are counted while they are loaded,
// because stored tensors may have different types.
#include <algorithm>

#include "backend/device_copier.h"
#include "base/error.h"
#include "model/model.h"
#include "model/rope_table.h"
#include "model/sublayer_ops.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

DataType matrix_type(const ModelSpec& spec, WeightFormat format) {
    return format == WeightFormat::q8_0 ? DataType::q8_0 : spec.stored_type;
}

std::uint64_t layer_bytes(const Backend& backend, const ModelSpec& spec, std::int32_t layer,
                          WeightFormat format) {
    return make_layer(spec, layer).weight_bytes(backend, matrix_type(spec, format));
}

/// Returns the bytes of scratch memory that all layers and the LM head share, since they run one
/// after the other.
std::size_t scratch_bytes(const Backend& backend, const ModelSpec& spec, std::int64_t rows) {
    const BackendTraits traits = backend.traits();
    std::size_t bytes = LmHeadScratch(traits, spec).workspace +
                        backend.matmul_workspace_bytes(traits.logit_rows, spec.hidden);
    for (std::int32_t i = 0; i < spec.layers; ++i) {
        bytes = std::max(bytes, make_layer(spec, i).scratch_bytes(backend, rows));
    }
    return bytes;
}

std::size_t logit_bytes(const BackendTraits& traits, const ModelSpec& spec) {
    return static_cast<std::size_t>(std::int64_t{traits.logit_rows} * spec.vocabulary) *
           sizeof(float);
}

}  // namespace

DeviceBatch::Bounds ModelBounds::batch() const {
    const std::int64_t blocks = (std::int64_t{max_context} + block_tokens - 1) / block_tokens;
    const std::int64_t sequences = std::min(max_rows, max_sequences);
    return {max_rows, sequences, sequences * blocks};
}

std::uint64_t part_weight_bytes(const Backend& backend, const ModelSpec& spec,
                                const ModelPart& part, WeightFormat format) {
    const std::int64_t hidden = spec.hidden;
    const std::int64_t vocabulary = spec.vocabulary;
    std::uint64_t bytes = 0;
    for (std::int32_t i = part.layers.begin; i < part.layers.end; ++i) {
        bytes += layer_bytes(backend, spec, i, format);
    }
    if (part.has_embedding) {
        bytes +=
            static_cast<std::uint64_t>(vocabulary * hidden) * data_type_bytes(spec.stored_type);
    }
    if (part.has_lm_head) {
        bytes += backend.packed_bytes(vocabulary, hidden, matrix_type(spec, format)) +
                 static_cast<std::uint64_t>(hidden) * sizeof(float);
    }
    return bytes;
}

std::size_t layer_cache_block_bytes(const Backend& backend, const ModelSpec& spec,
                                    std::int32_t layer, const CacheFormat& format) {
    return make_layer(spec, layer).mixer->cache_block_bytes(backend, format);
}

std::uint64_t part_workspace_bytes(const Backend& backend, const ModelSpec& spec,
                                   const ModelBounds& bounds) {
    const BackendTraits traits = backend.traits();
    const std::int64_t hidden_rows = std::int64_t{bounds.max_rows} * spec.hidden;
    return scratch_bytes(backend, spec, bounds.max_rows) + logit_bytes(traits, spec) +
           static_cast<std::uint64_t>(bounds.max_context) *
               static_cast<std::uint64_t>(spec.rope.rotary_dim) * sizeof(float) +
           // The stage holds hidden rows and a batch for each part under way.
           static_cast<std::uint64_t>(1 + traits.parts_ahead) *
               (static_cast<std::uint64_t>(hidden_rows) * sizeof(float) +
                DeviceBatch::bytes(bounds.batch()));
}

std::vector<TensorRef> part_tensors(const Described& described, const ModelPart& part) {
    std::vector<TensorRef> refs;
    for (std::int32_t i = part.layers.begin; i < part.layers.end; ++i) {
        for (TensorRef& ref :
             present_refs(described.architecture->layer_tensors(described.spec, i))) {
            refs.push_back(std::move(ref));
        }
    }
    const OuterTensors outer = described.architecture->outer_tensors(described.spec);
    if (part.has_embedding) refs.push_back(outer.embedding);
    if (part.has_lm_head) {
        refs.push_back(outer.final_norm);
        const bool tied = outer.lm_head == outer.embedding;
        if (!tied || !part.has_embedding) refs.push_back(outer.lm_head);
    }
    return refs;
}

Status Model::upload_rope_table(std::int32_t context) {
    const RopeTable table = make_rope_table(spec_.rope, context);
    const std::size_t bytes = table.cos.size() * sizeof(float);
    const std::unique_ptr<Stream> stream = backend_.make_stream();
    DeviceCopier copier(backend_, *stream);
    MOLINK_ASSIGN_OR_RETURN(cos_, backend_.allocate(bytes));
    MOLINK_ASSIGN_OR_RETURN(sin_, backend_.allocate(bytes));
    MOLINK_RETURN_IF_ERROR(copier.to_device(cos_->data(), table.cos.data(), bytes));
    return copier.to_device(sin_->data(), table.sin.data(), bytes);
}

Status Model::make_buffers(const ModelBounds& bounds) {
    max_rows_ = bounds.max_rows;
    MOLINK_ASSIGN_OR_RETURN(scratch_, backend_.allocate(scratch_bytes(backend_, spec_, max_rows_)));
    if (part_.has_lm_head) {
        MOLINK_ASSIGN_OR_RETURN(logits_, backend_.allocate(logit_bytes(traits_, spec_)));
    }
    return upload_rope_table(bounds.max_context);
}

Status Model::load_outer(WeightLoader& loader, const Described& described) {
    const std::int64_t hidden = spec_.hidden;
    const std::int64_t vocabulary = spec_.vocabulary;
    const OuterTensors tensors = described.architecture->outer_tensors(spec_);
    if (part_.has_embedding) {
        MOLINK_RETURN_IF_ERROR(
            loader.table({tensors.embedding, vocabulary}, hidden, embedding_, embedding_type_));
    }
    if (!part_.has_lm_head) return {};
    MOLINK_RETURN_IF_ERROR(loader.vectors({{tensors.final_norm, hidden}}, final_norm_));
    return loader.matrix({{tensors.lm_head, vocabulary}}, hidden, lm_head_);
}

Status Model::load_layers(WeightLoader& loader, const Described& described,
                          const std::function<Status()>& progress) {
    const auto tensors_of = [&](std::int32_t i) {
        return described.architecture->layer_tensors(spec_, i);
    };
    for (std::int32_t i = part_.layers.begin; i < part_.layers.end; ++i) {
        const LayerTensors tensors = tensors_of(i);
        if (i + 1 < part_.layers.end) loader.will_need(present_refs(tensors_of(i + 1)));
        Layer layer = make_layer(spec_, i);
        MOLINK_RETURN_IF_ERROR(layer.mixer->load(loader, tensors));
        MOLINK_RETURN_IF_ERROR(layer.feed_forward->load(loader, tensors));
        layers_.push_back(std::move(layer));
        MOLINK_RETURN_IF_ERROR(progress());
    }
    return {};
}

Result<std::unique_ptr<Model>> Model::load(Backend& backend, const WeightSource& source,
                                           const Described& described, const ModelPart& part,
                                           WeightFormat format, const ModelBounds& bounds,
                                           const LoadStep& step) {
    const ModelSpec& spec = described.spec;
    const LayerRange layers = part.layers;
    if (layers.begin < 0 || layers.end > spec.layers || layers.end < layers.begin) {
        return invalid_argument("load layers {}-{}: the model has {} layers", layers.begin,
                                layers.end - 1, spec.layers);
    }
    std::unique_ptr<Model> model(new Model(backend, spec, part));
    WeightLoader loader(backend, source, format);
    const std::uint64_t expected = part_weight_bytes(backend, spec, part, format);
    const auto progress = [&]() -> Status {
        if (!step || step(std::min(loader.bytes(), expected), expected)) return {};
        return Status(StatusCode::cancelled, "loading was stopped");
    };
    MOLINK_RETURN_IF_ERROR(progress());
    MOLINK_RETURN_IF_ERROR(model->load_layers(loader, described, progress));
    MOLINK_RETURN_IF_ERROR(model->load_outer(loader, described));
    MOLINK_RETURN_IF_ERROR(model->make_buffers(bounds));
    model->weight_bytes_ = loader.bytes();
    model->tensors_ = loader.loaded();
    if (step && !step(expected, expected)) {
        return Status(StatusCode::cancelled, "loading was stopped");
    }
    return model;
}

}  // namespace molink
