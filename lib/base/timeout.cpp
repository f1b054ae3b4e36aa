// One meaning of a negative time-out for every call that waits. A caller that computes "deadline
// minus now" and is late must not wait for ever by accident, so only one value means that, and all
// others are refused.
#include <molink/clock.h>

#include "base/error.h"

namespace molink {

Status check_timeout(std::int64_t timeout_us) {
    if (timeout_us >= 0 || timeout_us == kWaitForever) return {};
    return invalid_argument("a time-out of {} us; 0 does not wait, {} waits for ever", timeout_us,
                            kWaitForever);
}

}  // namespace molink
