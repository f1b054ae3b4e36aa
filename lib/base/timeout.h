#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#include <molink/clock.h>

#include "base/limits.h"

namespace molink {

/// Waits on `signal` until `settled` holds or `timeout_us` have passed (kWaitForever: without
/// limit). Returns whether `settled` holds. check_timeout() must have accepted the time-out.
template <typename Predicate>
bool wait_until(std::condition_variable& signal, std::unique_lock<std::mutex>& lock,
                std::int64_t timeout_us, Predicate settled) {
    if (timeout_us == kWaitForever) {
        signal.wait(lock, settled);
        return true;
    }
    const std::int64_t bounded_us = std::min(timeout_us, limits::kLongestUs);
    return signal.wait_for(lock, std::chrono::microseconds(bounded_us), settled);
}

}  // namespace molink
