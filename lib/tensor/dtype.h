#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include <molink/types.h>

namespace molink {

/// Returns the bytes of one element, or 0 for q8_0, which is a block type. Scales of int8 are not
/// included.
constexpr std::size_t data_type_bytes(DataType type) {
    switch (type) {
        case DataType::f32:
        case DataType::i32: return 4;
        case DataType::f16:
        case DataType::bf16: return 2;
        case DataType::int8: return 1;
        case DataType::q8_0: return 0;
    }
    return 0;
}

constexpr float bf16_to_f32(std::uint16_t bits) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Rounds to nearest, ties to even. NaN stays NaN.
constexpr std::uint16_t f32_to_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
    return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/// Converts IEEE half precision, including subnormals.
float f16_to_f32(std::uint16_t bits);
/// Rounds to nearest, ties to even. Overflow becomes infinity, and NaN stays NaN.
std::uint16_t f32_to_f16(float value);

}  // namespace molink
