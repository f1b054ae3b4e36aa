#pragma once

#include <cstdint>

#include <molink/export.h>

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

}  // namespace molink
