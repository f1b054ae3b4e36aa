#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <molink/model_spec.h>

#include "backend/backend.h"
#include "model/sublayer.h"

namespace molink {

/// Assigns offsets in the scratch memory to the arrays of a sublayer. Offsets are multiples of 64.
class ScratchLayout {
public:
    explicit ScratchLayout(ElementType activations) : element_(element_bytes(activations)) {}
    /// Adds an array of activations [rows, width] and returns its offset.
    std::size_t add_activations(std::int64_t rows, std::int64_t width) {
        return add(static_cast<std::size_t>(rows * width * element_));
    }
    std::size_t add(std::size_t bytes) {
        const std::size_t offset = bytes_;
        bytes_ += (bytes + 63) / 64 * 64;
        return offset;
    }
    std::size_t bytes() const { return bytes_; }

private:
    std::int64_t element_;
    std::size_t bytes_ = 0;
};

/// Offsets in the scratch memory of the LM head, for one piece of logits.
struct LmHeadScratch {
    LmHeadScratch(const BackendTraits& traits, const ModelSpec& spec);
    std::size_t gathered;   ///< gathered rows, [logit_rows, hidden], float32
    std::size_t normed;     ///< [logit_rows, hidden]
    std::size_t workspace;  ///< of matmul
};

/// Returns the address of loaded float32 weights on the device.
inline const float* weights_of(const std::unique_ptr<DeviceBuffer>& buffer) {
    return static_cast<const float*>(buffer->data());
}

/// Enqueues the RMS norm of float32 rows [rows, width]. `out` has the same shape and `out_type`.
void enqueue_norm(Stream& stream, const float* x, const float* weight, std::int64_t rows,
                  std::int64_t width, float epsilon, void* out, ElementType out_type);

/// The weights and the workspace of a product.
struct Product {
    const PackedMatrix& weight;
    const DeviceBuffer* bias = nullptr;  ///< [n]; nullptr: none
    void* workspace = nullptr;           ///< of matmul
};

/// Enqueues y = x * weight^T + bias. `x` is [rows, k], `y` is [rows, n], both of `type`.
void enqueue_product(Stream& stream, const Product& product, const void* x, std::int64_t rows,
                     void* y, ElementType type);

}  // namespace molink
