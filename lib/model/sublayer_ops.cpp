// Steps that sublayers have in common. The functions only fill in arguments of ops and enqueue
// them, so that each sublayer reads as the sequence of its steps. The LM head is not a sublayer,
// but uses the same scratch memory.
#include "model/sublayer_ops.h"

namespace molink {

LmHeadScratch::LmHeadScratch(const BackendTraits& traits, const ModelSpec& spec) {
    ScratchLayout layout(traits.activations);
    const auto floats = static_cast<std::size_t>(std::int64_t{traits.logit_rows} * spec.hidden);
    gathered = layout.add(floats * sizeof(float));
    normed = layout.add_activations(traits.logit_rows, spec.hidden);
    workspace = layout.bytes();
}

void enqueue_norm(Stream& stream, const float* x, const float* weight, std::int64_t rows,
                  std::int64_t width, float epsilon, void* out, ElementType out_type) {
    RmsNormArgs args;
    args.x = x;
    args.weight = weight;
    args.out = out;
    args.rows = rows;
    args.width = args.x_stride = args.out_stride = width;
    args.epsilon = epsilon;
    args.out_type = out_type;
    stream.rms_norm(args);
}

void enqueue_product(Stream& stream, const Product& product, const void* x, std::int64_t rows,
                     void* y, ElementType type) {
    MatmulArgs args;
    args.weight = &product.weight;
    args.x = x;
    args.y = y;
    args.rows = rows;
    args.x_stride = product.weight.k;
    args.y_stride = product.weight.n;
    args.workspace = product.workspace;
    args.x_type = args.y_type = type;
    stream.matmul(args);
    if (product.bias == nullptr) return;
    AddBiasArgs add;
    add.x = y;
    add.x_type = type;
    add.bias = static_cast<const float*>(const_cast<DeviceBuffer*>(product.bias)->data());
    add.rows = rows;
    add.width = product.weight.n;
    stream.add_bias(add);
}

}  // namespace molink
