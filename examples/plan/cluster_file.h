#pragma once

#include <string>

#include <molink/options.h>
#include <molink/partitioner.h>
#include <molink/status.h>

namespace molink::examples {

/// Reads a cluster from a JSON file; the format is in the README, "Plan before you load". `options`
/// says how nodes would hold the model (weights, KV type, running sequences). Errors:
/// invalid_argument or not_found, with the file, the place in it and the permitted values.
Result<PartitionInput> read_cluster_file(const std::string& path, EngineOptions options);

}  // namespace molink::examples
