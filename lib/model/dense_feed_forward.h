#pragma once

#include <memory>

#include <molink/model_spec.h>

#include "model/sublayer.h"

namespace molink {

/// A gated feed-forward: down(act(gate(x)) * up(x)) (Shazeer 2020).
class DenseFeedForward final : public FeedForward {
public:
    explicit DenseFeedForward(const ModelSpec& spec);

    std::uint64_t weight_bytes(const Backend& backend, DataType matrix_type) const override;
    std::size_t scratch_bytes(const Backend& backend, std::int64_t rows) const override;
    Status load(WeightLoader& loader, const LayerTensors& tensors) override;
    void run(const SublayerRun& run) override;

private:
    /// Offsets of arrays in the scratch memory, bytes.
    struct Arrays {
        std::size_t normed;     ///< [rows, hidden]
        std::size_t gate_up;    ///< [rows, 2 ffn]
        std::size_t activated;  ///< [rows, ffn]
        std::size_t projected;  ///< [rows, hidden]
        std::size_t workspace;  ///< of matmul
    };
    Arrays arrays(ElementType activations, std::int64_t rows) const;

    std::int64_t hidden_;
    std::int64_t ffn_;
    bool bias_;
    ActivationKind activation_;
    float epsilon_;
    float residual_scale_;
    std::unique_ptr<DeviceBuffer> norm_;
    std::unique_ptr<PackedMatrix> gate_up_;  // gate and up stacked
    std::unique_ptr<DeviceBuffer> gate_up_bias_;
    std::unique_ptr<PackedMatrix> down_;
    std::unique_ptr<DeviceBuffer> down_bias_;
};

}  // namespace molink
