#pragma once

#include <span>
#include <string>
#include <vector>

#include "node/tensor_check.h"

namespace molink::sim {

/// Returns what a simulated stage with these layers has loaded: one tensor for each layer. Those of
/// a damaged file have other hashes.
std::vector<LoadedTensor> fold_tensors(LayerRange layers, bool damaged);

/// Judges stages by the tensors of the fold model. Everything is known at once. Thread: one.
class SimTensorCheck final : public TensorCheck {
public:
    void expect(const ModelPart&) override {}
    TensorVerdict judge(const ModelPart& part, std::span<const LoadedTensor> tensors,
                        const std::string& node, bool own) override;
};

}  // namespace molink::sim
