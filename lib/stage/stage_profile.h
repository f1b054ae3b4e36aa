#pragma once

#include <cstdint>
#include <vector>

#include <molink/device_profile.h>
#include <molink/model_spec.h>
#include <molink/types.h>

namespace molink {

/// What one layer has to read and to compute.
struct LayerCost {
    double weight_bytes = 0;    ///< read once for every part
    double row_flops = 0;       ///< products with the weights, one row
    double position_bytes = 0;  ///< keys and values of one position
    double position_flops = 0;  ///< attending to one position
    std::int32_t window = 0;    ///< positions that a row attends to at most; 0: all

    friend bool operator==(const LayerCost&, const LayerCost&) = default;
};

/// What the layers and the LM head of a model have to read and to compute.
struct StageCost {
    std::vector<LayerCost> layers;
    double lm_head_bytes = 0;  ///< weights
    double lm_head_row_flops = 0;
};

/// `weight_bytes`: of one parameter in a layer; those of the LM head, keys and values have 2.
StageCost stage_cost(const ModelSpec& spec, double weight_bytes);

/// Consecutive positions of one sequence.
struct LoadRun {
    std::int32_t position = 0;
    std::int32_t rows = 0;
};

/// What a part asks of a stage.
struct PartLoad {
    std::vector<LoadRun> runs;
    std::int32_t sampled = 0;  ///< rows that need logits

    std::int32_t rows() const;
    /// Sum over the rows of the positions that each attends to.
    std::int64_t attended(std::int32_t window) const;
    /// Positions read from the cache: those of a prompt's slice once.
    std::int64_t cached(std::int32_t window) const;
};

/// Service times of a stage: for each layer the larger of reading and computing, or a measured
/// table, which knows only rows and holds for every layer.
class StageProfile {
public:
    StageProfile(DeviceProfile device, const StageCost& cost);

    /// `layer` is an index into the model's layers.
    double layer_us(PartKind kind, const PartLoad& load, std::int32_t layer) const;
    double lm_head_us(std::int32_t rows) const;
    /// A part through `layers`, and through the LM head when it is here.
    double part_us(PartKind kind, const PartLoad& load, LayerRange layers, bool has_lm_head) const;

private:
    /// Layers that cost the same, and how many of them are among the first.
    struct LayerKind {
        LayerCost cost;
        std::vector<std::int32_t> before;  // [layers + 1]
    };

    double cost_us(const LayerCost& cost, const PartLoad& load) const;
    double roofline_us(double bytes, double flops) const;

    DeviceProfile device_;
    std::vector<LayerKind> kinds_;
    double lm_head_bytes_;
    double lm_head_row_flops_;
};

}  // namespace molink
