#pragma once

#include <string>

namespace molink {

/// Equal for processes on one machine, different between machines.
std::string host_id();

}  // namespace molink
