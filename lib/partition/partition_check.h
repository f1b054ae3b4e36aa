#pragma once

#include <molink/partitioner.h>
#include <molink/status.h>

namespace molink {

/// Refuses an input that no plan can come from: sizes, ids, times, overrides that contradict each
/// other. Errors: invalid_argument naming the nodes and the numbers.
Status check_partition_input(const PartitionInput& input);

/// Why there is no split of an input that is valid: resource_exhausted with needed and available
/// bytes.
Status explain_no_split(const PartitionInput& input);

}  // namespace molink
