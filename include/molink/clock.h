#pragma once

#include <cstdint>

#include <molink/export.h>
#include <molink/status.h>

namespace molink {

/// Source of time, injected so that a simulator can replace it. Times are monotonic, in us, with an
/// arbitrary origin. Thread: any thread may call now_us().
class MOLINK_EXPORT Clock {
public:
    virtual ~Clock();
    virtual std::int64_t now_us() const = 0;
};

/// The machine's steady clock. It lives as long as the process.
MOLINK_EXPORT const Clock& steady_clock();

/// Time-out of a call that waits without limit. Time-outs are in us; a call with 0 does not wait.
inline constexpr std::int64_t kWaitForever = -1;

/// Checks the time-out of a call that waits. Errors: invalid_argument when `timeout_us` is negative
/// and not kWaitForever.
MOLINK_EXPORT Status check_timeout(std::int64_t timeout_us);

}  // namespace molink
