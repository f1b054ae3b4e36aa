#pragma once

#include <optional>
#include <string>

#include "backend/backend.h"
#include "base/cgroup.h"

namespace molink {

/// Returns the memory of this machine that this process may use, within the limits of its control
/// groups.
DeviceMemory host_memory();

/// Does the same from the text of /proc/meminfo. The domain is `host` or, if a control group has
/// less memory than the machine, `host`, a slash and that group: processes of one group share its
/// memory, and two groups with limits of their own do not.
DeviceMemory host_memory(const std::string& meminfo, const std::optional<CgroupMemory>& group,
                         const std::string& host);

}  // namespace molink
