#pragma once

#include <cstdint>

#include <molink/export.h>
#include <molink/status.h>

namespace molink {

/// Source of time, injected so that a simulator can replace it. Monotonic, unit us, arbitrary
/// origin. Thread: now_us() may be called from any thread.
class MOLINK_EXPORT Clock {
public:
    virtual ~Clock();
    virtual std::int64_t now_us() const = 0;
};

/// The machine's steady clock. Static storage.
MOLINK_EXPORT const Clock& steady_clock();

/// The time-out of a call that waits without limit. Time-outs are in us; 0 does not wait.
inline constexpr std::int64_t kWaitForever = -1;

/// Errors: invalid_argument when `timeout_us` is negative and not kWaitForever. Calls that wait
/// refuse such a time-out with this error.
MOLINK_EXPORT Status check_timeout(std::int64_t timeout_us);

}  // namespace molink
