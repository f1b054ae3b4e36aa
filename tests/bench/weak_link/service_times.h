#pragma once

#include <string>
#include <vector>

#include <molink/device_profile.h>
#include <molink/model_spec.h>
#include <molink/options.h>

#include "limits.h"

namespace molink::bench {

/// The tables of a timed stage.
DeviceProfile timed_device(const TimedProfile& profile);

/// What one thread of this machine takes for a layer of the model in q8_0 and for its LM head, by
/// running the stage's own code: parts of 1 to 32 decode rows, slices of 16 to 512. Takes seconds.
/// Throws std::runtime_error.
DeviceProfile measure_device(const std::string& model_dir);

/// How many times longer decode parts take while so many stages compute at once: they share the
/// memory. Throws std::runtime_error.
std::vector<Slowdown> measure_contention(const std::string& model_dir, int cores);

/// Of a model folder; reads config.json alone. Throws std::runtime_error.
ModelSpec read_spec(const std::string& model_dir);

}  // namespace molink::bench
