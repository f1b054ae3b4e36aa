#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace molink {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;

/// Reads a little-endian integer at `offset`. The caller has checked offset + sizeof(T) <= size.
template <typename T>
T read_le(ByteSpan bytes, std::size_t offset) {
    static_assert(std::is_integral_v<T>);
    std::make_unsigned_t<T> value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        value |= static_cast<std::make_unsigned_t<T>>(
            static_cast<std::make_unsigned_t<T>>(bytes[offset + i]) << (8 * i));
    }
    return static_cast<T>(value);
}

/// Writes a little-endian integer at `offset`. The caller has checked the size.
template <typename T>
void write_le(std::span<std::byte> bytes, std::size_t offset, T value) {
    static_assert(std::is_integral_v<T>);
    const auto bits = static_cast<std::make_unsigned_t<T>>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        bytes[offset + i] = static_cast<std::byte>((bits >> (8 * i)) & 0xff);
    }
}

}  // namespace molink
