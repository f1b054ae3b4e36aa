#pragma once

#include <molink/partitioner.h>
#include <molink/status.h>

namespace molink {

/// Refuses an input that no plan can satisfy: sizes or times out of range, ids that occur twice,
/// overrides that contradict each other. Errors: invalid_argument with the nodes and the numbers.
Status check_partition_input(const PartitionInput& input);

/// Returns the error for a valid input that no split fits: resource_exhausted with the needed and
/// the available bytes.
Status explain_no_split(const PartitionInput& input);

}  // namespace molink
