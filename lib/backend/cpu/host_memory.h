#pragma once

#include "backend/backend.h"

namespace molink {

/// Returns the memory of this machine that this process may use: the system's total and available
/// bytes, within the limit of the control group. Its domain is host_id().
DeviceMemory host_memory();

}  // namespace molink
