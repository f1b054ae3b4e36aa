#pragma once

#include <string>

#include <molink/partitioner.h>

namespace molink::examples {

/// The plan for people: stages and links, memory, what is predicted, what limits it, who is left
/// out.
std::string plan_table(const PartitionReport& report);

/// The same as one JSON object.
std::string plan_json(const PartitionReport& report);

}  // namespace molink::examples
