// Service times without a device. Decode reads every weight for a few rows and is bound by memory.
// Prefill uses each weight for hundreds of rows and is bound by arithmetic. The roofline model
// (Williams et al. 2009) covers both. The figures of the built-in devices are from NVIDIA's data
// sheets and architecture white papers (GA102, AD102, TU102, A100 40 GB PCIe). The share of them
// that kernels reach is an assumption.
#include "stage/stage_profile.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "base/error.h"

namespace molink {
namespace {

/// Bytes of a value that is not quantised.
constexpr double kHalfBytes = 2;

struct BuiltIn {
    std::string_view name;
    double memory_gib;
    double memory_gb_per_s;
    double tflops;
};
constexpr std::array kBuiltIn = {
    BuiltIn{"rtx-3090", 24, 936, 71},
    BuiltIn{"rtx-4090", 24, 1008, 165.2},
    BuiltIn{"rtx-2080-ti", 11, 616, 53.8},
    BuiltIn{"a100", 40, 1555, 312},
};

double interpolate(const std::vector<ProfilePoint>& table, double rows) {
    if (table.size() == 1) return table.front().us;
    std::size_t right = 1;
    while (right + 1 < table.size() && table[right].rows < rows) ++right;
    const ProfilePoint& a = table[right - 1];
    const ProfilePoint& b = table[right];
    return std::max(0.0, a.us + (b.us - a.us) * (rows - a.rows) / (b.rows - a.rows));
}

}  // namespace

Result<DeviceProfile> device_profile(std::string_view name) {
    std::string known;
    for (const BuiltIn& entry : kBuiltIn) {
        known += (known.empty() ? "" : ", ") + std::string(entry.name);
        if (entry.name != name) continue;
        DeviceProfile profile;
        profile.name = entry.name;
        profile.memory_gib = entry.memory_gib;
        profile.memory_gb_per_s = entry.memory_gb_per_s;
        profile.tflops = entry.tflops;
        return profile;
    }
    return make_error(StatusCode::not_found, "device profile '{}' is not built in; {} are", name,
                      known);
}

StageCost stage_cost(const ModelSpec& spec, double weight_bytes) {
    const AttentionSpec& attention = spec.attention;
    StageCost cost;
    for (std::int32_t i = 0; i < spec.layers; ++i) {
        const auto parameters = static_cast<double>(layer_parameters(spec, i));
        LayerCost layer;
        layer.weight_bytes = parameters * weight_bytes;
        layer.row_flops = 2 * parameters;
        layer.position_bytes = static_cast<double>(kv_bytes_per_position(spec, DataType::f16));
        layer.position_flops = 4.0 * attention.q_heads * attention.head_dim;
        if (!spec.layer_specs.empty()) {
            layer.window = spec.layer_specs[static_cast<std::size_t>(i)].sliding_window;
        }
        cost.layers.push_back(layer);
    }
    const auto lm_head = static_cast<double>(spec.vocabulary) * spec.hidden;
    cost.lm_head_bytes = lm_head * kHalfBytes;
    cost.lm_head_row_flops = 2 * lm_head;
    return cost;
}

std::int32_t PartLoad::rows() const {
    std::int32_t rows = 0;
    for (const LoadRun& run : runs) rows += run.rows;
    return rows;
}

std::int64_t PartLoad::attended(std::int32_t window) const {
    std::int64_t sum = 0;
    for (const LoadRun& run : runs) {
        // Number of rows that attend to all positions before them. The others attend to a full
        // window.
        const std::int32_t open =
            window > 0 ? std::clamp(window - run.position, 0, run.rows) : run.rows;
        const std::int64_t count = open;
        sum += count * run.position + count * (count + 1) / 2;
        sum += std::int64_t{run.rows - open} * window;
    }
    return sum;
}

std::int64_t PartLoad::cached(std::int32_t window) const {
    std::int64_t sum = 0;
    for (const LoadRun& run : runs) {
        const std::int64_t all = std::int64_t{run.position} + run.rows;
        sum += window > 0 ? std::min(all, std::int64_t{window} + run.rows - 1) : all;
    }
    return sum;
}

StageProfile::StageProfile(DeviceProfile device, const StageCost& cost)
    : device_(std::move(device)),
      lm_head_bytes_(cost.lm_head_bytes),
      lm_head_row_flops_(cost.lm_head_row_flops) {
    for (const LayerCost& layer : cost.layers) {
        const bool known = std::any_of(kinds_.begin(), kinds_.end(),
                                       [&](const LayerKind& kind) { return kind.cost == layer; });
        if (!known) kinds_.push_back({layer, {0}});
    }
    for (LayerKind& kind : kinds_) {
        for (const LayerCost& layer : cost.layers) {
            kind.before.push_back(kind.before.back() + (layer == kind.cost ? 1 : 0));
        }
    }
}

double StageProfile::roofline_us(double bytes, double flops) const {
    const double read_us = bytes / (device_.memory_gb_per_s * 1e3 * device_.memory_efficiency);
    const double compute_us = flops / (device_.tflops * 1e6 * device_.compute_efficiency);
    return std::max(read_us, compute_us) + device_.launch_us;
}

double StageProfile::cost_us(const LayerCost& cost, const PartLoad& load) const {
    return roofline_us(
        cost.weight_bytes + cost.position_bytes * static_cast<double>(load.cached(cost.window)),
        cost.row_flops * load.rows() +
            cost.position_flops * static_cast<double>(load.attended(cost.window)));
}

double StageProfile::layer_us(PartKind kind, const PartLoad& load, std::int32_t layer) const {
    return part_us(kind, load, {layer, layer + 1}, false);
}

double StageProfile::lm_head_us(std::int32_t rows) const {
    if (rows == 0) return 0;
    if (!device_.lm_head.empty()) return interpolate(device_.lm_head, rows);
    if (!device_.decode.empty()) return 0;
    return roofline_us(lm_head_bytes_, lm_head_row_flops_ * rows);
}

double StageProfile::part_us(PartKind kind, const PartLoad& load, LayerRange layers,
                             bool has_lm_head) const {
    const auto& table = kind == PartKind::decode ? device_.decode : device_.prefill;
    double sum = 0;
    if (!table.empty()) {
        sum = layers.size() * interpolate(table, load.rows());
    } else {
        for (const LayerKind& alike : kinds_) {
            const std::int32_t count = alike.before[static_cast<std::size_t>(layers.end)] -
                                       alike.before[static_cast<std::size_t>(layers.begin)];
            if (count > 0) sum += count * cost_us(alike.cost, load);
        }
    }
    return sum + (has_lm_head ? lm_head_us(load.sampled) : 0);
}

}  // namespace molink
