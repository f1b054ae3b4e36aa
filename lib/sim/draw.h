#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "base/random.h"

namespace molink::sim {

/// Draws values from a seed, one after the other. Equal seeds give equal values. Thread: one.
class Draw {
public:
    explicit Draw(std::uint64_t seed) : random_(seed) {}

    /// Returns an integer from `low` to `high`, both included.
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low +
               static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(high - low) + 1));
    }
    std::int32_t count(std::int32_t low, std::int32_t high) {
        return static_cast<std::int32_t>(between(low, high));
    }
    /// Returns true with probability `share`.
    bool chance(double share) { return random_.uniform() < share; }
    template <typename T>
    T one_of(std::initializer_list<T> values) {
        return *(values.begin() + static_cast<std::ptrdiff_t>(random_.below(values.size())));
    }

private:
    Random random_;
};

}  // namespace molink::sim
