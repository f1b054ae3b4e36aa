#pragma once

#include <cstdint>

#include <molink/device_profile.h>
#include <molink/model_spec.h>
#include <molink/types.h>

namespace molink {

/// What a stage has to read and to compute; from a model's shape.
struct StageCost {
    double layer_bytes = 0;      ///< weights of one layer
    double layer_row_flops = 0;  ///< products with them, one row
    double position_bytes = 0;   ///< keys and values of one position in one layer
    double position_flops = 0;   ///< attending to one position in one layer
    double head_bytes = 0;       ///< weights of the LM head
    double head_row_flops = 0;
};

/// `weight_bytes`: of one parameter in a layer; those of the LM head, keys and values have 2.
StageCost stage_cost(const ModelSpec& spec, double weight_bytes);

/// What a part asks of a stage.
struct PartLoad {
    std::int32_t rows = 0;
    std::int32_t sampled = 0;   ///< rows that need logits
    std::int64_t attended = 0;  ///< sum over rows of the positions each attends to
    std::int64_t cached = 0;    ///< positions read from the cache: of a prompt's slice once
};

/// Service times of a stage: the larger of reading and computing for each layer, or a measured
/// table, which knows rows alone.
class StageProfile {
public:
    StageProfile(DeviceProfile device, const StageCost& cost)
        : device_(std::move(device)), cost_(cost) {}

    double layer_us(PartKind kind, const PartLoad& load) const;
    double head_us(std::int32_t rows) const;
    /// A part through `layers` layers, and the LM head when it is here.
    double part_us(PartKind kind, const PartLoad& load, std::int32_t layers, bool has_head) const;

private:
    double roofline_us(double bytes, double flops) const;

    DeviceProfile device_;
    StageCost cost_;
};

}  // namespace molink
