// Defines negative time-outs for every call that waits. A late caller that computes "deadline minus
// now" must not wait forever by accident. Therefore only one negative value means "no limit", and
// all others are refused.
#include <molink/clock.h>

#include "base/error.h"

namespace molink {

Status check_timeout(std::int64_t timeout_us) {
    if (timeout_us >= 0 || timeout_us == kWaitForever) return {};
    return invalid_argument("the time-out is {} us; it must be 0 or more, or {} to wait forever",
                            timeout_us, kWaitForever);
}

}  // namespace molink
