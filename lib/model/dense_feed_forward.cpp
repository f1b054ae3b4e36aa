// The dense feed-forward as a sequence of ops. Gate and up are one product, so that a row is read
// once; their results are side by side in a row. Relies on check_supported(), which refuses models
// without a gate.
#include "model/dense_feed_forward.h"

#include <algorithm>

#include "base/error.h"
#include "model/sublayer_ops.h"

namespace molink {
namespace {

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

DenseFeedForward::DenseFeedForward(const ModelSpec& spec)
    : hidden_(spec.hidden),
      ffn_(spec.mlp.ffn),
      bias_(spec.mlp.bias),
      activation_(spec.mlp.activation),
      epsilon_(spec.norm.epsilon),
      residual_scale_(spec.residual_scale) {}

std::uint64_t DenseFeedForward::weight_bytes(const Backend& backend, DataType matrix_type) const {
    const std::int64_t floats = hidden_ + (bias_ ? 2 * ffn_ + hidden_ : 0);
    return backend.packed_bytes(2 * ffn_, hidden_, matrix_type) +
           backend.packed_bytes(hidden_, ffn_, matrix_type) +
           static_cast<std::uint64_t>(floats) * sizeof(float);
}

DenseFeedForward::Arrays DenseFeedForward::arrays(ElementType activations,
                                                  std::int64_t rows) const {
    ScratchLayout layout(activations);
    Arrays arrays{};
    arrays.normed = layout.add_activations(rows, hidden_);
    arrays.gate_up = layout.add_activations(rows, 2 * ffn_);
    arrays.activated = layout.add_activations(rows, ffn_);
    arrays.projected = layout.add_activations(rows, hidden_);
    arrays.workspace = layout.bytes();
    return arrays;
}

std::size_t DenseFeedForward::scratch_bytes(const Backend& backend, std::int64_t rows) const {
    return arrays(backend.traits().activations, rows).workspace +
           backend.matmul_workspace_bytes(rows, std::max(hidden_, ffn_));
}

Status DenseFeedForward::load(WeightLoader& loader, const LayerTensors& tensors) {
    const DenseTensors& t = tensors.dense;
    MOLINK_RETURN_IF_ERROR(loader.vectors({{t.norm, hidden_}}, norm_));
    MOLINK_RETURN_IF_ERROR(loader.matrix({{t.gate, ffn_}, {t.up, ffn_}}, hidden_, gate_up_));
    MOLINK_RETURN_IF_ERROR(loader.vectors({{t.gate_bias, ffn_}, {t.up_bias, ffn_}}, gate_up_bias_));
    MOLINK_RETURN_IF_ERROR(loader.matrix({{t.down, hidden_}}, ffn_, down_));
    return loader.vectors({{t.down_bias, hidden_}}, down_bias_);
}

void DenseFeedForward::run(const SublayerRun& run) {
    const Arrays at = arrays(run.activations, run.max_rows);
    const std::int64_t rows = run.batch.rows;
    std::byte* const normed = run.scratch + at.normed;
    std::byte* const gate_up = run.scratch + at.gate_up;
    std::byte* const activated = run.scratch + at.activated;
    std::byte* const projected = run.scratch + at.projected;
    void* const workspace = run.scratch + at.workspace;
    enqueue_norm(run.stream, run.hidden, weights_of(norm_), rows, hidden_, epsilon_, normed,
                 run.activations);
    enqueue_product(run.stream, {*gate_up_, gate_up_bias_.get(), workspace}, normed, rows, gate_up,
                    run.activations);
    GateArgs gate;
    gate.gate = gate_up;
    gate.up = gate_up + ffn_ * element_bytes(run.activations);
    gate.out = activated;
    gate.rows = rows;
    gate.width = ffn_;
    gate.gate_stride = gate.up_stride = 2 * ffn_;
    gate.kind = gate_kind(activation_);
    gate.type = run.activations;
    run.stream.gate(gate);
    enqueue_product(run.stream, {*down_, down_bias_.get(), workspace}, activated, rows, projected,
                    run.activations);
    run.stream.add({run.hidden, projected, rows * hidden_, residual_scale_, run.activations});
}

}  // namespace molink
