#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/status.h>

namespace molink {

/// One row of a measured table.
struct ProfilePoint {
    double rows = 0;
    double us = 0;
};

/// How fast a device computes: by roofline (Williams et al. 2009), or as measured when the tables
/// are not empty. Between the rows of a table times are linear, beyond its ends they go on with the
/// slope of the last two.
struct DeviceProfile {
    std::string name;
    double memory_gib = 0;
    double memory_gb_per_s = 0;      ///< data sheet, 10^9 bytes
    double tflops = 0;               ///< data sheet: FP16 tensor cores, dense, FP32 sums
    double memory_efficiency = 0.8;  ///< share of it that kernels reach; an assumption
    double compute_efficiency = 0.6;
    double launch_us = 20;             ///< per layer: some ten kernels; an assumption
    std::vector<ProfilePoint> decode;  ///< one layer, by rows of the part
    std::vector<ProfilePoint> prefill;
    std::vector<ProfilePoint> head;  ///< LM head, by rows that are sampled
};

/// A built-in one: "rtx-3090", "rtx-4090", "rtx-2080-ti", "a100". Errors: not_found, with the
/// names.
MOLINK_EXPORT Result<DeviceProfile> device_profile(std::string_view name);

}  // namespace molink
