#pragma once

#include <functional>
#include <string>

namespace molink::test {

/// Runs `checks` in a child process, which may be forked while other threads run, and returns what
/// it returns: the first thing that is wrong, or nothing. A child that hangs or crashes is reported
/// the same way. The child ends without running destructors of the test.
std::string run_forked(const std::function<std::string()>& checks);

}  // namespace molink::test
