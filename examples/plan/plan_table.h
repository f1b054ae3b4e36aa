#pragma once

#include <string>

#include <molink/partitioner.h>

namespace molink::examples {

/// Formats a plan for people: stages, links, memory, prediction, what limits the throughput, and
/// nodes that are left out.
std::string plan_table(const PartitionReport& report);

/// Formats the same data as one JSON object.
std::string plan_json(const PartitionReport& report);

}  // namespace molink::examples
