#pragma once

#include <memory>

#include "model/model.h"

namespace molink {

/// Weights of one layer; biases are null when the model has none.
struct Model::Layer {
    std::unique_ptr<DeviceBuffer> attention_norm;
    std::unique_ptr<PackedMatrix> qkv;  ///< queries, keys, values stacked
    std::unique_ptr<DeviceBuffer> qkv_bias;
    std::unique_ptr<PackedMatrix> o;
    std::unique_ptr<DeviceBuffer> o_bias;
    std::unique_ptr<DeviceBuffer> mlp_norm;
    std::unique_ptr<PackedMatrix> gate_up;  ///< gate and up stacked
    std::unique_ptr<DeviceBuffer> gate_up_bias;
    std::unique_ptr<PackedMatrix> down;
    std::unique_ptr<DeviceBuffer> down_bias;
};

/// Buffers for one part. Activations have the type of the device's traits, the rest is float32.
struct Model::Buffers {
    std::unique_ptr<DeviceBuffer> normed;     ///< [max_rows or logit_rows, hidden]
    std::unique_ptr<DeviceBuffer> qkv;        ///< [max_rows, q + k + v]
    std::unique_ptr<DeviceBuffer> attended;   ///< [max_rows, q_heads * head_dim]
    std::unique_ptr<DeviceBuffer> projected;  ///< [max_rows, hidden]
    std::unique_ptr<DeviceBuffer> gate_up;    ///< [max_rows, 2 ffn]
    std::unique_ptr<DeviceBuffer> activated;  ///< [max_rows, ffn]
    std::unique_ptr<DeviceBuffer> taken;      ///< [logit_rows, hidden], float32
    std::unique_ptr<DeviceBuffer> logits;     ///< [logit_rows, vocabulary]; with the LM head only
    std::unique_ptr<DeviceBuffer> workspace;  ///< of matmul
    std::unique_ptr<DeviceBuffer> cos;        ///< [max_context, rotary_dim / 2]
    std::unique_ptr<DeviceBuffer> sin;
};

}  // namespace molink
