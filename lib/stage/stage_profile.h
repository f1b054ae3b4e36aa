#pragma once

#include <cstdint>
#include <vector>

#include <molink/device_profile.h>
#include <molink/model_spec.h>
#include <molink/types.h>

namespace molink {

/// Bytes that one layer reads and operations that it computes.
struct LayerCost {
    double weight_bytes = 0;    ///< read once for every part
    double row_flops = 0;       ///< products with the weights, one row
    double position_bytes = 0;  ///< keys and values of one position
    double position_flops = 0;  ///< attending to one position
    std::int32_t window = 0;    ///< positions that a row attends to at most; 0: all

    friend bool operator==(const LayerCost&, const LayerCost&) = default;
};

/// Bytes and operations of the layers and the LM head of a model.
struct StageCost {
    std::vector<LayerCost> layers;
    double lm_head_bytes = 0;  ///< weights
    double lm_head_row_flops = 0;
};

/// Returns the cost of a model. `weight_bytes` is the size of one parameter in a layer. Parameters
/// of the LM head, keys and values have 2 bytes each.
StageCost stage_cost(const ModelSpec& spec, double weight_bytes);

/// Consecutive positions of one sequence.
struct LoadRun {
    std::int32_t position = 0;
    std::int32_t rows = 0;
};

/// The rows of a part, as far as they determine its time on a stage.
struct PartLoad {
    std::vector<LoadRun> runs;
    std::int32_t sampled = 0;  ///< rows that need logits

    std::int32_t rows() const;
    /// Returns the sum over all rows of the number of positions that the row attends to.
    std::int64_t attended(std::int32_t window) const;
    /// Returns the positions read from the cache. The rows of one run read shared positions once.
    std::int64_t cached(std::int32_t window) const;
};

/// Service times of a stage, us. A layer takes the larger of the times for reading and for
/// computing (roofline, Williams et al. 2009) and the launch of its kernels. With a measured table
/// instead, the time depends only on the rows and is the same for every layer.
class StageProfile {
public:
    StageProfile(DeviceProfile device, const StageCost& cost);

    /// `layer` is an index into the model's layers.
    double layer_us(PartKind kind, const PartLoad& load, std::int32_t layer) const;
    double lm_head_us(std::int32_t rows) const;
    /// Returns the time of a part in `layers` and, if `has_lm_head`, in the LM head.
    double part_us(PartKind kind, const PartLoad& load, LayerRange layers, bool has_lm_head) const;

private:
    /// Layers with the same cost.
    struct LayerKind {
        LayerCost cost;
        std::vector<std::int32_t> before;  // [layers + 1] number of such layers before each layer
    };

    double cost_us(const LayerCost& cost, const PartLoad& load) const;
    double roofline_us(double bytes, double flops) const;

    DeviceProfile device_;
    std::vector<LayerKind> kinds_;
    double lm_head_bytes_;
    double lm_head_row_flops_;
};

}  // namespace molink
