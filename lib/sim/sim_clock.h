#pragma once

#include <cstdint>

#include <molink/clock.h>

namespace molink::sim {

/// Virtual time in us. The driver of the simulation sets `now`. Thread: one.
class SimClock final : public Clock {
public:
    std::int64_t now_us() const override { return now; }
    std::int64_t now = 0;
};

}  // namespace molink::sim
