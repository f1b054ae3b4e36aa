#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>

namespace molink {

/// Bits of an infinite float. Magnitudes compare like their bits, and NaN is above infinity.
inline constexpr std::int32_t kInfinityBits = 0x7f800000;

/// Returns the bits of the largest magnitude, 0 for an empty list. Integers instead of floats, so
/// that the compiler vectorises the loop and NaN is never lost.
inline std::int32_t peak_bits(std::span<const float> values) {
    std::int32_t peak = 0;
    for (const float value : values) {
        const auto magnitude = std::bit_cast<std::uint32_t>(value) & 0x7fffffffu;
        peak = std::max(peak, static_cast<std::int32_t>(magnitude));
    }
    return peak;
}

/// Returns whether no value is NaN or infinite.
inline bool all_finite(std::span<const float> values) {
    return peak_bits(values) < kInfinityBits;
}

}  // namespace molink
