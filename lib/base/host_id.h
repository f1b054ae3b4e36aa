#pragma once

#include <string>

namespace molink {

/// Returns an id that is equal for all processes on one machine and differs between machines.
std::string host_id();

}  // namespace molink
