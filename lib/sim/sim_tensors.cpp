// The tensors of the fold model have no bytes. A layer stands for one tensor, whose hash follows
// from the number of the layer, so that head and stages know it without any file. The head answers
// at once; waiting is tested with real folders.
#include "sim/sim_tensors.h"

#include <algorithm>

#include "base/error.h"
#include "base/random.h"

namespace molink::sim {

std::vector<LoadedTensor> fold_tensors(LayerRange layers, bool damaged) {
    std::vector<LoadedTensor> tensors;
    for (std::int32_t layer = layers.begin; layer < layers.end; ++layer) {
        const auto key = static_cast<std::uint64_t>(layer) + (damaged ? 1u << 20 : 0);
        tensors.push_back({fmt::format("layer.{}", layer), 0, 0, {mix64(key), mix64(~key)}});
    }
    return tensors;
}

TensorVerdict SimTensorCheck::judge(const ModelPart& part, std::span<const LoadedTensor> tensors,
                                    const std::string& node, bool) {
    const std::vector<LoadedTensor> expected = fold_tensors(part.layers, false);
    if (std::equal(expected.begin(), expected.end(), tensors.begin(), tensors.end())) {
        return {TensorVerdict::Kind::right, {}};
    }
    return {TensorVerdict::Kind::wrong,
            make_error(StatusCode::data_loss, "node '{}' has loaded another tensor than the head",
                       node)};
}

}  // namespace molink::sim
