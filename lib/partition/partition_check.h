#pragma once

#include <molink/partitioner.h>
#include <molink/status.h>

namespace molink {

/// Refuses an input that no plan can satisfy: sizes, ids and times out of range, overrides that
/// contradict each other. Errors: invalid_argument with the nodes and the numbers.
Status check_partition_input(const PartitionInput& input);

/// The error for a valid input that no split fits: resource_exhausted with the bytes that are
/// needed and available.
Status explain_no_split(const PartitionInput& input);

}  // namespace molink
