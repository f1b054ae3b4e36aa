// Converts hidden rows to bytes and back. A prompt's activations have tens of megabytes, so the
// loops have no branches and work on small blocks that the compiler vectorises. The bits equal
// those of tensor/dtype.h; a test shows this for every half value and every rounding case.
#include "tensor/activation_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <molink/partitioner.h>

#include "base/bytes.h"
#include "base/error.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

/// Values that are converted at a time: enough to amortise the copy, and few enough for the L1
/// cache.
constexpr std::size_t kBlockValues = 512;
using HalfBlock = std::array<std::uint16_t, kBlockValues>;

/// Returns the same bits as f32_to_f16. All three cases are computed and one is selected.
std::uint16_t narrow_f16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    const std::uint32_t normal =
        (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u) >> 13;
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u;
    // The comparison is signed, because baseline SIMD has no unsigned one.
    const auto ordered = static_cast<std::int32_t>(magnitude);
    const std::uint32_t special = ordered > 0x7f800000 ? 0x7e00u : 0x7c00u;
    std::uint32_t out = ordered < 0x38800000 ? subnormal : normal;
    out = ordered >= 0x477ff000 ? special : out;
    return static_cast<std::uint16_t>(out | ((bits >> 16) & 0x8000u));
}

/// Returns the same bits as f16_to_f32.
float widen_f16(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
    const auto magnitude = static_cast<std::int32_t>(half & 0x7fffu);
    const std::int32_t shifted = magnitude << 13;
    const float subnormal = static_cast<float>(magnitude & 0x3ff) * 0x1.0p-24f;
    std::int32_t out = shifted + (magnitude >= 0x7c00 ? 224 << 23 : 112 << 23);
    out = magnitude < 0x400 ? std::bit_cast<std::int32_t>(subnormal) : out;
    return std::bit_cast<float>(static_cast<std::uint32_t>(out) | sign);
}

/// Returns the same bits as f32_to_bf16.
std::uint16_t narrow_bf16(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const bool is_nan = static_cast<std::int32_t>(bits & 0x7fffffffu) > 0x7f800000;
    return static_cast<std::uint16_t>(is_nan ? (bits >> 16) | 0x40u : rounded);
}

float widen_bf16(std::uint16_t bits) {
    return bf16_to_f32(bits);
}

/// Swaps bytes in place, on hosts with another byte order than the wire.
template <typename T>
void swap_bytes(std::span<T> values) {
    for (T& value : values) {
        auto* first = reinterpret_cast<std::byte*>(&value);
        std::reverse(first, first + sizeof(T));
    }
}
constexpr bool kSwap = std::endian::native == std::endian::big;

template <typename Narrow>
void encode_halves(std::span<const float> values, std::byte* out, Narrow narrow) {
    HalfBlock block;
    while (!values.empty()) {
        const std::size_t count = std::min(values.size(), kBlockValues);
        for (std::size_t i = 0; i < count; ++i) block[i] = narrow(values[i]);
        if constexpr (kSwap) swap_bytes(std::span(block.data(), count));
        std::memcpy(out, block.data(), count * sizeof(std::uint16_t));
        out += count * sizeof(std::uint16_t);
        values = values.subspan(count);
    }
}

template <typename Widen>
void decode_halves(const std::byte* in, std::span<float> out, Widen widen) {
    HalfBlock block;
    while (!out.empty()) {
        const std::size_t count = std::min(out.size(), kBlockValues);
        std::memcpy(block.data(), in, count * sizeof(std::uint16_t));
        if constexpr (kSwap) swap_bytes(std::span(block.data(), count));
        for (std::size_t i = 0; i < count; ++i) out[i] = widen(block[i]);
        in += count * sizeof(std::uint16_t);
        out = out.subspan(count);
    }
}

/// Values that share a scale. The group is small, so an outlier affects few values, and large
/// enough that scales are only a sixteenth of the bytes.
constexpr std::size_t kGroupValues = 64;

std::size_t int8_row_bytes(std::size_t width) {
    return width + (width + kGroupValues - 1) / kGroupValues * sizeof(float);
}

/// Encodes one group: its scale, then its values.
void encode_group(std::span<const float> values, std::byte* out) {
    float largest = 0;
    bool finite = true;
    for (float value : values) {
        const float magnitude = std::fabs(value);
        largest = std::max(largest, magnitude);
        finite &= magnitude <= std::numeric_limits<float>::max();
    }
    const float scale = finite ? largest / 127 : std::numeric_limits<float>::quiet_NaN();
    const float inverse = finite && scale > 0 ? 1 / scale : 0;
    write_le(std::span(out, sizeof(float)), 0, std::bit_cast<std::uint32_t>(scale));
    std::array<std::int8_t, kGroupValues> rounded{};
    for (std::size_t i = 0; finite && i < values.size(); ++i) {
        // Adding and subtracting 1.5 * 2^23 rounds to nearest even.
        const float value = std::clamp(values[i] * inverse, -127.0f, 127.0f);
        rounded[i] = static_cast<std::int8_t>((value + 12582912.0f) - 12582912.0f);
    }
    std::memcpy(out + sizeof(float), rounded.data(), values.size());
}

void encode_int8(std::span<const float> values, std::size_t width, std::byte* out) {
    for (; !values.empty(); values = values.subspan(width)) {
        for (std::size_t at = 0; at < width; at += kGroupValues) {
            const std::size_t count = std::min(kGroupValues, width - at);
            encode_group(values.subspan(at, count), out);
            out += sizeof(float) + count;
        }
    }
}

void decode_int8(const std::byte* in, std::span<float> out, std::size_t width) {
    for (; !out.empty(); out = out.subspan(width)) {
        for (std::size_t at = 0; at < width; at += kGroupValues) {
            const std::size_t count = std::min(kGroupValues, width - at);
            const auto scale =
                std::bit_cast<float>(read_le<std::uint32_t>(std::span(in, sizeof(float)), 0));
            std::array<std::int8_t, kGroupValues> rounded;
            std::memcpy(rounded.data(), in + sizeof(float), count);
            for (std::size_t i = 0; i < count; ++i) out[at + i] = scale * rounded[i];
            in += sizeof(float) + count;
        }
    }
}

}  // namespace

bool is_activation_type(DataType type) {
    return type == DataType::f32 || type == DataType::f16 || type == DataType::bf16 ||
           type == DataType::int8;
}

std::size_t activation_bytes(DataType type, std::size_t rows, std::size_t width) {
    if (!is_activation_type(type)) return 0;
    return rows * (type == DataType::int8 ? int8_row_bytes(width) : width * data_type_bytes(type));
}

std::int64_t activation_row_bytes(DataType wire_type, std::int32_t hidden) {
    return static_cast<std::int64_t>(
        activation_bytes(wire_type, 1, static_cast<std::size_t>(std::max(hidden, 0))));
}

Bytes encode_activations(DataType type, std::span<const float> values, std::size_t width) {
    Bytes out(width == 0 ? 0 : activation_bytes(type, values.size() / width, width));
    if (out.empty()) return out;
    if (type == DataType::int8) {
        encode_int8(values, width, out.data());
    } else if (type == DataType::f16) {
        encode_halves(values, out.data(), [](float value) { return narrow_f16(value); });
    } else if (type == DataType::bf16) {
        encode_halves(values, out.data(), [](float value) { return narrow_bf16(value); });
    } else {
        std::memcpy(out.data(), values.data(), out.size());
        if constexpr (kSwap)
            swap_bytes(std::span(reinterpret_cast<float*>(out.data()), values.size()));
    }
    return out;
}

Status decode_activations(DataType type, ByteSpan bytes, std::span<float> out, std::size_t width) {
    if (!is_activation_type(type)) {
        return invalid_argument("decode activations: {} is not f32, f16, bf16 or int8",
                                data_type_name(type));
    }
    const std::size_t rows = width == 0 ? 0 : out.size() / width;
    const std::size_t expected = activation_bytes(type, rows, width);
    if (bytes.size() != expected) {
        return make_error(StatusCode::data_loss,
                          "decode activations: {} bytes for {} values of {}; {} "
                          "are needed",
                          bytes.size(), out.size(), data_type_name(type), expected);
    }
    if (rows == 0) return {};
    if (type == DataType::int8) {
        decode_int8(bytes.data(), out, width);
    } else if (type == DataType::f16) {
        decode_halves(bytes.data(), out, [](std::uint16_t bits) { return widen_f16(bits); });
    } else if (type == DataType::bf16) {
        decode_halves(bytes.data(), out, [](std::uint16_t bits) { return widen_bf16(bits); });
    } else {
        std::memcpy(out.data(), bytes.data(), bytes.size());
        if constexpr (kSwap) swap_bytes(out);
    }
    return {};
}

}  // namespace molink
