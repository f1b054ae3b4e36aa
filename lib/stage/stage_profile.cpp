// Service times without a device. Decode reads every weight for a handful of rows and is bound by
// memory, prefill uses each weight for hundreds of rows and is bound by arithmetic; the roofline
// has both. Figures of the built-in devices are those of NVIDIA's data sheets and architecture
// white papers (GA102, AD102, TU102, A100 40 GB PCIe); what share of them kernels reach is assumed.
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
    const auto parameters = static_cast<double>(layer_parameters(spec));
    cost.layer_bytes = parameters * weight_bytes;
    cost.layer_row_flops = 2 * parameters;
    cost.position_bytes = static_cast<double>(kv_bytes_per_position(spec, DataType::f16));
    cost.position_flops = 4.0 * attention.heads * attention.head_dim;
    const auto head = static_cast<double>(spec.vocabulary) * spec.hidden;
    cost.head_bytes = head * kHalfBytes;
    cost.head_row_flops = 2 * head;
    return cost;
}

double StageProfile::roofline_us(double bytes, double flops) const {
    const double read_us = bytes / (device_.memory_gb_per_s * 1e3 * device_.memory_efficiency);
    const double compute_us = flops / (device_.tflops * 1e6 * device_.compute_efficiency);
    return std::max(read_us, compute_us) + device_.launch_us;
}

double StageProfile::layer_us(PartKind kind, const PartLoad& load) const {
    const auto& table = kind == PartKind::decode ? device_.decode : device_.prefill;
    if (!table.empty()) return interpolate(table, load.rows);
    return roofline_us(cost_.layer_bytes + cost_.position_bytes * static_cast<double>(load.cached),
                       cost_.layer_row_flops * load.rows +
                           cost_.position_flops * static_cast<double>(load.attended));
}

double StageProfile::head_us(std::int32_t rows) const {
    if (rows == 0) return 0;
    if (!device_.head.empty()) return interpolate(device_.head, rows);
    if (!device_.decode.empty()) return 0;
    return roofline_us(cost_.head_bytes, cost_.head_row_flops * rows);
}

double StageProfile::part_us(PartKind kind, const PartLoad& load, std::int32_t layers,
                             bool has_head) const {
    return layers * layer_us(kind, load) + (has_head ? head_us(load.sampled) : 0);
}

}  // namespace molink
