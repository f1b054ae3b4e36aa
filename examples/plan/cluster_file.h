#pragma once

#include <string>

#include <molink/options.h>
#include <molink/partitioner.h>
#include <molink/status.h>

namespace molink::examples {

/// A cluster as a JSON file describes it; README, "Plan before you load". `options` says how nodes
/// would hold the model (weights, KV type, sequences at once). Errors: invalid_argument or
/// not_found with the file, the place in it and what is permitted.
Result<PartitionInput> read_cluster_file(const std::string& path, EngineOptions options);

}  // namespace molink::examples
