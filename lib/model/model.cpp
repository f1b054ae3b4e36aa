// Running a range of layers: the shared blocks over a ragged batch. Everything is a sequence of
// backend ops on buffers made at load time; nothing is allocated per batch. Loading is in
// model_load.cpp.
#include "model/model.h"

#include <cmath>

#include "model/model_parts.h"

namespace molink {

namespace {

void* data(const std::unique_ptr<DeviceBuffer>& buffer) {
    return buffer->data();
}
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
    : backend_(backend), traits_(backend.traits()), spec_(spec), part_(part) {}

Model::~Model() = default;

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

void Model::norm(Stream& stream, const float* x, const DeviceBuffer& weight, std::int64_t rows,
                 void* out) {
    RmsNormArgs args;
    args.x = x;
    args.weight = static_cast<const float*>(const_cast<DeviceBuffer&>(weight).data());
    args.out = out;
    args.rows = rows;
    args.width = args.x_stride = args.out_stride = spec_.hidden;
    args.epsilon = spec_.norm.epsilon;
    args.out_type = traits_.activations;
    stream.rms_norm(args);
}

MatmulArgs Model::product_args(const PackedMatrix& weight, const void* x, std::int64_t rows,
                               void* y) {
    MatmulArgs args;
    args.weight = &weight;
    args.x = x;
    args.y = y;
    args.rows = rows;
    args.x_stride = weight.k;
    args.y_stride = weight.n;
    args.workspace = buffers_->workspace->data();
    args.x_type = args.y_type = traits_.activations;
    return args;
}

void Model::product(Stream& stream, const MatmulArgs& args, const DeviceBuffer* bias) {
    stream.matmul(args);
    if (bias == nullptr) return;
    AddBiasArgs add;
    add.x = args.y;
    add.x_type = args.y_type;
    add.bias = static_cast<const float*>(const_cast<DeviceBuffer*>(bias)->data());
    add.rows = args.rows;
    add.width = args.weight->n;
    stream.add_bias(add);
}

void Model::attention(Stream& stream, const BatchArgs& batch, const KvPages& pages,
                      std::size_t index, float* hidden) {
    const Layer& layer = layers_[index];
    const AttentionSpec& spec = spec_.attention;
    const LayerSpec& kind = spec_.layer_specs[static_cast<std::size_t>(part_.layers.begin) + index];
    const std::int64_t q_width = std::int64_t{spec.heads} * spec.head_dim;
    const std::int64_t kv_width = std::int64_t{spec.kv_heads} * spec.head_dim;
    const std::int64_t stride = q_width + 2 * kv_width;
    auto* const qkv = static_cast<std::byte*>(data(buffers_->qkv));
    const auto column = [&](std::int64_t at) {
        return qkv + at * element_bytes(traits_.activations);
    };
    norm(stream, hidden, *layer.attention_norm, batch.rows, data(buffers_->normed));
    product(stream, product_args(*layer.qkv, data(buffers_->normed), batch.rows, qkv),
            layer.qkv_bias.get());
    if (kind.rope) {
        RopeArgs rope;
        rope.x = qkv;
        rope.x_type = traits_.activations;
        rope.positions = batch.positions;
        rope.cos = floats(buffers_->cos);
        rope.sin = floats(buffers_->sin);
        rope.rows = batch.rows;
        rope.heads = spec.heads + spec.kv_heads;  // queries and keys stand side by side
        rope.head_dim = spec.head_dim;
        rope.rotary_dim = spec_.rope.rotary_dim;
        rope.row_stride = stride;
        rope.interleaved = spec_.rope.interleaved;
        stream.rope(rope);
    }
    stream.kv_write({pages, batch, column(q_width), column(q_width + kv_width), stride, stride,
                     traits_.activations});
    AttentionArgs attend;
    attend.pages = pages;
    attend.batch = batch;
    attend.q = qkv;
    attend.out = data(buffers_->attended);
    attend.q_stride = stride;
    attend.q_heads = spec.heads;
    attend.scale =
        spec.scale != 0 ? spec.scale : 1.0f / std::sqrt(static_cast<float>(spec.head_dim));
    attend.soft_cap = spec.soft_cap;
    attend.window = kind.sliding_window;
    attend.type = traits_.activations;
    stream.attention(attend);
    product(stream,
            product_args(*layer.o, data(buffers_->attended), batch.rows, data(buffers_->projected)),
            layer.o_bias.get());
    stream.add({hidden, data(buffers_->projected), batch.rows * spec_.hidden, spec_.residual_scale,
                traits_.activations});
}

void Model::mlp(Stream& stream, const Layer& layer, std::int64_t rows, float* hidden) {
    norm(stream, hidden, *layer.mlp_norm, rows, data(buffers_->normed));
    auto* const gate_up = static_cast<std::byte*>(data(buffers_->gate_up));
    product(stream, product_args(*layer.gate_up, data(buffers_->normed), rows, gate_up),
            layer.gate_up_bias.get());
    GateArgs gate;
    gate.gate = gate_up;
    gate.up = gate_up + spec_.mlp.ffn * element_bytes(traits_.activations);
    gate.out = data(buffers_->activated);
    gate.rows = rows;
    gate.width = spec_.mlp.ffn;
    gate.gate_stride = gate.up_stride = 2 * std::int64_t{spec_.mlp.ffn};
    gate.kind = gate_kind(spec_.mlp.activation);
    gate.type = traits_.activations;
    stream.gate(gate);
    product(stream,
            product_args(*layer.down, data(buffers_->activated), rows, data(buffers_->projected)),
            layer.down_bias.get());
    stream.add({hidden, data(buffers_->projected), rows * spec_.hidden, spec_.residual_scale,
                traits_.activations});
}

void Model::run_layers(Stream& stream, const BatchArgs& batch, const std::vector<KvPages>& pages,
                       float* hidden) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
        attention(stream, batch, pages[i], i, hidden);
        mlp(stream, layers_[i], batch.rows, hidden);
    }
}

const float* Model::logits(Stream& stream, const float* hidden, const std::int32_t* rows_to_take,
                           std::int64_t rows) {
    float* taken = floats(buffers_->taken);
    stream.gather_rows({hidden, rows_to_take, taken, rows, spec_.hidden});
    norm(stream, taken, *final_norm_, rows, data(buffers_->normed));
    float* out = floats(buffers_->logits);
    MatmulArgs args = product_args(*head_, data(buffers_->normed), rows, out);
    args.y_type = ElementType::f32;
    stream.matmul(args);
    if (spec_.logit_scale != 1.0f || spec_.logit_soft_cap != 0) {
        stream.scale_cap({out, rows * spec_.vocabulary, spec_.logit_scale, spec_.logit_soft_cap});
    }
    return out;
}

}  // namespace molink
