#pragma once

#include "backend/backend.h"

namespace molink {

/// The memory of this machine, as far as this process may use it: what the system has and calls
/// available, within the control group's limit. Its domain is host_id().
DeviceMemory host_memory();

}  // namespace molink
