#pragma once

#include <string>
#include <vector>

#include <molink/device_profile.h>
#include <molink/model_spec.h>
#include <molink/options.h>

#include "limits.h"

namespace molink::bench {

/// Returns the tables of a timed stage.
DeviceProfile timed_device(const TimedProfile& profile);

/// Measures the time that one thread of this machine takes for a layer of the model in q8_0 and for
/// its LM head. Runs the code of a stage with parts of 1 to 32 decode rows and slices of 16 to 512
/// rows, which takes seconds. Throws std::runtime_error.
DeviceProfile measure_device(const std::string& model_dir);

/// Measures by which factor decode parts take longer while `cores` stages (at most 4) compute at
/// once and share the memory. Throws std::runtime_error.
std::vector<Slowdown> measure_contention(const std::string& model_dir, int cores);

/// Returns the spec of a model folder. Reads only config.json. Throws std::runtime_error.
ModelSpec read_spec(const std::string& model_dir);

}  // namespace molink::bench
