#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include <molink/status.h>

namespace molink::test {

/// How a child process ended.
struct ChildResult {
    int signal = 0;  ///< that ended it; 0: it ended by itself
    StatusCode code = StatusCode::ok;
    std::string message;
};

/// Runs `attempt` in a child process with lower limits and returns its status. Call it only while
/// the process has one thread. Throws std::runtime_error when no child can be made.
/// `descriptors`: the limit of open files; 0: as it is. `more_bytes`: how much address space the
/// child may add to what it has; 0: no limit.
ChildResult run_limited(std::size_t descriptors, std::size_t more_bytes,
                        const std::function<Status()>& attempt);

/// Returns whether limits of address space work in this build. Sanitizers reserve terabytes.
bool limits_address_space();

}  // namespace molink::test
