#pragma once

#include <cstdint>

namespace molink {

/// A time in us as seconds, for texts and metrics.
constexpr double seconds(std::int64_t us) {
    return static_cast<double>(us) / 1e6;
}

}  // namespace molink
