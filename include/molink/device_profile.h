#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <molink/export.h>
#include <molink/status.h>

namespace molink {

/// One measured time.
struct ProfilePoint {
    double rows = 0;
    double us = 0;
};

/// Speed of a device. Times follow from a roofline (Williams et al. 2009), or from the tables when
/// these are not empty. Between two points of a table times are interpolated linearly. Beyond its
/// ends they are extrapolated through the two nearest points.
struct DeviceProfile {
    std::string name;
    double memory_gib = 0;
    double memory_gb_per_s = 0;      ///< data sheet, 10^9 bytes
    double tflops = 0;               ///< data sheet: FP16 tensor cores, dense, FP32 accumulation
    double memory_efficiency = 0.8;  ///< assumed share of the data sheet that kernels reach
    double compute_efficiency = 0.6;
    double launch_us = 20;             ///< per layer; assumed, for about ten kernels
    std::vector<ProfilePoint> decode;  ///< time of one layer, by rows of the part
    std::vector<ProfilePoint> prefill;
    std::vector<ProfilePoint> lm_head;  ///< time of the LM head, by sampled rows
};

/// Returns a built-in profile: "rtx-3090", "rtx-4090", "rtx-2080-ti" or "a100". Errors: not_found,
/// listing the known names.
MOLINK_EXPORT Result<DeviceProfile> device_profile(std::string_view name);

}  // namespace molink
