// Runs a range of layers, one sublayer after the other, over a ragged batch. Everything is a
// sequence of ops on memory that is allocated at load time; nothing is allocated per batch. Loading
// is in model_load.cpp.
#include "model/model.h"

#include "model/sublayer_ops.h"

namespace molink {

Model::Model(Backend& backend, const ModelSpec& spec, const ModelPart& part)
    : backend_(backend), traits_(backend.traits()), spec_(spec), part_(part) {}

void Model::embed(Stream& stream, const std::int32_t* ids, std::int64_t rows, float* hidden) {
    EmbedArgs args;
    args.table = embedding_->data();
    args.table_type = embedding_type_;
    args.ids = ids;
    args.out = hidden;
    args.rows = rows;
    args.hidden = spec_.hidden;
    args.scale = spec_.embedding_scale;
    stream.embed(args);
}

void Model::run_layers(Stream& stream, const BatchArgs& batch, const std::vector<KvPages>& pages,
                       float* hidden) {
    SublayerRun run{stream, batch};
    run.hidden = hidden;
    run.cos = weights_of(cos_);
    run.sin = weights_of(sin_);
    run.scratch = static_cast<std::byte*>(scratch_->data());
    run.max_rows = max_rows_;
    run.activations = traits_.activations;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        layers_[i].mixer->run(run, pages[i]);
        layers_[i].feed_forward->run(run);
    }
}

const float* Model::logits(Stream& stream, const float* hidden, const std::int32_t* wanted_rows,
                           std::int64_t rows) {
    auto* const scratch = static_cast<std::byte*>(scratch_->data());
    const LmHeadScratch at(traits_, spec_);
    auto* const gathered = reinterpret_cast<float*>(scratch + at.gathered);
    std::byte* const normed = scratch + at.normed;
    stream.gather_rows({hidden, wanted_rows, gathered, rows, spec_.hidden});
    enqueue_norm(stream, gathered, weights_of(final_norm_), rows, spec_.hidden, spec_.norm.epsilon,
                 normed, traits_.activations);
    auto* const out = static_cast<float*>(logits_->data());
    MatmulArgs args;
    args.weight = lm_head_.get();
    args.x = normed;
    args.y = out;
    args.rows = rows;
    args.x_stride = spec_.hidden;
    args.y_stride = spec_.vocabulary;
    args.workspace = scratch + at.workspace;
    args.x_type = traits_.activations;
    stream.matmul(args);
    if (spec_.logit_scale != 1.0f || spec_.logit_soft_cap != 0) {
        stream.scale_cap({out, rows * spec_.vocabulary, spec_.logit_scale, spec_.logit_soft_cap});
    }
    return out;
}

}  // namespace molink
