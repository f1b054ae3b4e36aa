// Running a range of layers: the shared blocks over a ragged batch. Everything is a sequence of
// backend ops on buffers made at load time; nothing is allocated per batch. Loading is in
// model_load.cpp.
#include "model/model.h"

#include <cmath>

#include "model/model_parts.h"

namespace molink {

namespace {

float* floats(const std::unique_ptr<DeviceBuffer>& buffer) {
    return static_cast<float*>(buffer->data());
}

GateKind gate_kind(ActivationKind kind) {
    switch (kind) {
        case ActivationKind::silu: return GateKind::silu;
        case ActivationKind::gelu: return GateKind::gelu;
        case ActivationKind::gelu_tanh: return GateKind::gelu_tanh;
        case ActivationKind::relu: return GateKind::relu;
        case ActivationKind::relu_squared: return GateKind::relu_squared;
    }
    return GateKind::silu;
}

}  // namespace

Model::Model(Backend& backend, const ModelSpec& spec, const ModelPart& part)
    : backend_(backend), spec_(spec), part_(part) {}

Model::~Model() = default;

void Model::embed(const std::int32_t* ids, std::int64_t rows, float* hidden) {
    EmbedArgs args;
    args.table = embedding_->data();
    args.table_type = embedding_type_;
    args.ids = ids;
    args.out = hidden;
    args.rows = rows;
    args.hidden = spec_.hidden;
    args.scale = spec_.embedding_scale;
    backend_.embed(args);
}

void Model::norm(const float* x, const DeviceBuffer& weight, std::int64_t rows, float* out) {
    RmsNormArgs args;
    args.x = x;
    args.weight = static_cast<const float*>(const_cast<DeviceBuffer&>(weight).data());
    args.out = out;
    args.rows = rows;
    args.width = args.x_stride = args.out_stride = spec_.hidden;
    args.epsilon = spec_.norm.epsilon;
    backend_.rms_norm(args);
}

void Model::product(const PackedMatrix& weight, const DeviceBuffer* bias, const float* x,
                    std::int64_t rows, float* y) {
    MatmulArgs args;
    args.weight = &weight;
    args.x = x;
    args.y = y;
    args.rows = rows;
    args.x_stride = weight.k;
    args.y_stride = weight.n;
    args.workspace = buffers_->workspace->data();
    backend_.matmul(args);
    if (bias == nullptr) return;
    AddBiasArgs add;
    add.x = y;
    add.bias = static_cast<const float*>(const_cast<DeviceBuffer*>(bias)->data());
    add.rows = rows;
    add.width = weight.n;
    backend_.add_bias(add);
}

void Model::attention(const Layer& layer, const BatchArgs& batch, const KvPages& pages,
                      std::size_t index, float* hidden) {
    const AttentionSpec& spec = spec_.attention;
    const LayerSpec& kind = spec_.layer_specs[static_cast<std::size_t>(part_.layers.begin) + index];
    const std::int64_t q_width = std::int64_t{spec.heads} * spec.head_dim;
    const std::int64_t kv_width = std::int64_t{spec.kv_heads} * spec.head_dim;
    const std::int64_t stride = q_width + 2 * kv_width;
    float* qkv = floats(buffers_->qkv);
    norm(hidden, *layer.attention_norm, batch.rows, floats(buffers_->normed));
    product(*layer.qkv, layer.qkv_bias.get(), floats(buffers_->normed), batch.rows, qkv);
    if (kind.rope) {
        RopeArgs rope;
        rope.x = qkv;
        rope.positions = batch.positions;
        rope.cos = floats(buffers_->cos);
        rope.sin = floats(buffers_->sin);
        rope.rows = batch.rows;
        rope.heads = spec.heads + spec.kv_heads;  // queries and keys stand side by side
        rope.head_dim = spec.head_dim;
        rope.rotary_dim = spec_.rope.rotary_dim;
        rope.row_stride = stride;
        rope.interleaved = spec_.rope.interleaved;
        backend_.rope(rope);
    }
    KvWriteArgs write{pages, batch, qkv + q_width, qkv + q_width + kv_width, stride, stride};
    backend_.kv_write(write);
    AttentionArgs attend;
    attend.pages = pages;
    attend.batch = batch;
    attend.q = qkv;
    attend.out = floats(buffers_->attended);
    attend.q_stride = stride;
    attend.heads = spec.heads;
    attend.scale =
        spec.scale != 0 ? spec.scale : 1.0f / std::sqrt(static_cast<float>(spec.head_dim));
    attend.soft_cap = spec.soft_cap;
    attend.window = kind.sliding_window;
    backend_.attention(attend);
    product(*layer.o, layer.o_bias.get(), floats(buffers_->attended), batch.rows,
            floats(buffers_->projected));
    backend_.add(
        {hidden, floats(buffers_->projected), batch.rows * spec_.hidden, spec_.residual_scale});
}

void Model::mlp(const Layer& layer, std::int64_t rows, float* hidden) {
    norm(hidden, *layer.mlp_norm, rows, floats(buffers_->normed));
    float* gate_up = floats(buffers_->gate_up);
    product(*layer.gate_up, layer.gate_up_bias.get(), floats(buffers_->normed), rows, gate_up);
    GateArgs gate;
    gate.gate = gate_up;
    gate.up = gate_up + spec_.mlp.ffn;
    gate.out = floats(buffers_->activated);
    gate.rows = rows;
    gate.width = spec_.mlp.ffn;
    gate.gate_stride = gate.up_stride = 2 * std::int64_t{spec_.mlp.ffn};
    gate.kind = gate_kind(spec_.mlp.activation);
    backend_.gate(gate);
    product(*layer.down, layer.down_bias.get(), floats(buffers_->activated), rows,
            floats(buffers_->projected));
    backend_.add({hidden, floats(buffers_->projected), rows * spec_.hidden, spec_.residual_scale});
}

void Model::run_layers(const BatchArgs& batch, const std::vector<KvPages>& pages, float* hidden) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        attention(layers_[i], batch, pages[i], i, hidden);
        mlp(layers_[i], batch.rows, hidden);
    }
}

const float* Model::logits(const float* hidden, const std::int32_t* rows_to_take,
                           std::int64_t rows) {
    float* taken = floats(buffers_->taken);
    backend_.gather_rows({hidden, rows_to_take, taken, rows, spec_.hidden});
    norm(taken, *final_norm_, rows, taken);
    float* out = floats(buffers_->logits);
    product(*head_, nullptr, taken, rows, out);
    if (spec_.logit_scale != 1.0f || spec_.logit_soft_cap != 0) {
        backend_.scale_cap({out, rows * spec_.vocabulary, spec_.logit_scale, spec_.logit_soft_cap});
    }
    return out;
}

}  // namespace molink
