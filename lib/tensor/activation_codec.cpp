// Converts hidden rows to bytes and back. A prompt's activations have tens of megabytes, so the
// loops have no branches and work on small blocks that the compiler vectorises. The bits equal
// those of tensor/dtype.h; a test shows this for every half value and every rounding case. Rows are
// independent of each other, so that results do not depend on which rows travel together.
#include "tensor/activation_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <molink/partitioner.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/float_bits.h"
#include "tensor/dtype.h"
#include "tensor/int8_rows.h"

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

/// Magnitudes from here on round to infinity in f16 and in bf16. A row above the second one is
/// refused by int8 too: its scale times 127 might not be finite.
constexpr std::int32_t kF16OverflowBits = 0x477ff000;
constexpr std::int32_t kBf16OverflowBits = 0x7f7f8000;

void write_f32(std::span<const float> values, std::byte* out) {
    std::memcpy(out, values.data(), values.size_bytes());
    if constexpr (kSwap) swap_bytes(std::span(reinterpret_cast<float*>(out), values.size()));
}

void write_f16(std::span<const float> values, std::byte* out) {
    encode_halves(values, out, [](float value) { return narrow_f16(value); });
}

void write_bf16(std::span<const float> values, std::byte* out) {
    encode_halves(values, out, [](float value) { return narrow_bf16(value); });
}

/// Notes what is special about a row with this peak. Returns whether it is written as bf16.
bool classify(const ActivationFormat& format, std::int32_t peak, std::uint32_t row,
              EncodedRows& encoded) {
    if (peak >= kInfinityBits) {
        encoded.not_finite.push_back(row);
        return false;
    }
    if (format.type == DataType::f32) return false;
    const bool above_f16 = format.type == DataType::f16 && peak >= kF16OverflowBits;
    if (peak >= kBf16OverflowBits || (above_f16 && !format.widens)) {
        encoded.too_large.push_back(row);
    }
    if (!above_f16 || !format.widens) return false;
    encoded.bf16_rows.push_back(row);
    return true;
}

Status check_size(const ActivationFormat& format, ByteSpan bytes, std::size_t rows,
                  std::size_t width) {
    if (!is_activation_type(format.type)) {
        return invalid_argument("decode activations: {} is not f32, f16, bf16 or int8",
                                data_type_name(format.type));
    }
    const std::size_t expected = activation_bytes(format, rows, width);
    if (bytes.size() == expected) return {};
    return make_error(StatusCode::data_loss,
                      "decode activations: {} bytes for {} values of {}; {} are needed",
                      bytes.size(), rows * width, data_type_name(format.type), expected);
}

Status decode_bf16_rows(std::span<const std::uint32_t> rows, ByteSpan bytes, std::span<float> out,
                        std::size_t width) {
    for (const std::uint32_t row : rows) {
        if (row >= out.size() / width) {
            return make_error(StatusCode::data_loss,
                              "decode activations: row {} of {} is said to be bf16", row,
                              out.size() / width);
        }
        decode_halves(bytes.data() + row * width * sizeof(std::uint16_t),
                      out.subspan(row * width, width),
                      [](std::uint16_t bits) { return widen_bf16(bits); });
    }
    return {};
}

}  // namespace

bool is_activation_type(DataType type) {
    return type == DataType::f32 || type == DataType::f16 || type == DataType::bf16 ||
           type == DataType::int8;
}

ActivationFormat newest_format(DataType type) {
    ActivationFormat format{type};
    if (type == DataType::int8) format.exact_values = kExactValues;
    format.widens = type == DataType::f16;
    return format;
}

std::size_t activation_bytes(const ActivationFormat& format, std::size_t rows, std::size_t width) {
    if (!is_activation_type(format.type)) return 0;
    if (format.type == DataType::int8) return rows * int8_row_bytes(width, format.exact_values);
    return rows * width * data_type_bytes(format.type);
}

std::int64_t activation_row_bytes(DataType wire_type, std::int32_t hidden) {
    return static_cast<std::int64_t>(activation_bytes(
        newest_format(wire_type), 1, static_cast<std::size_t>(std::max(hidden, 0))));
}

EncodedRows encode_activations(const ActivationFormat& format, std::span<const float> values,
                               std::size_t width) {
    EncodedRows encoded;
    const std::size_t row_bytes = activation_bytes(format, 1, width);
    if (row_bytes == 0) return encoded;
    encoded.bytes.resize(values.size() / width * row_bytes);
    Int8RowWriter int8(width, format.exact_values);
    std::byte* out = encoded.bytes.data();
    for (std::uint32_t row = 0; !values.empty(); ++row, out += row_bytes) {
        const std::span<const float> from = values.first(width);
        values = values.subspan(width);
        const std::int32_t peak = peak_bits(from);
        const bool widened = classify(format, peak, row, encoded);
        if (format.type == DataType::int8) {
            int8.write(from, peak < kInfinityBits, out);
        } else if (format.type == DataType::f32) {
            write_f32(from, out);
        } else if (format.type == DataType::f16 && !widened) {
            write_f16(from, out);
        } else {
            write_bf16(from, out);
        }
    }
    return encoded;
}

Status decode_activations(const ActivationFormat& format, std::span<const std::uint32_t> bf16_rows,
                          ByteSpan bytes, std::span<float> out, std::size_t width) {
    const std::size_t rows = width == 0 ? 0 : out.size() / width;
    MOLINK_RETURN_IF_ERROR(check_size(format, bytes, rows, width));
    if (rows == 0) return {};
    switch (format.type) {
        case DataType::int8: return read_int8_rows(bytes, width, format.exact_values, out);
        case DataType::f16:
            decode_halves(bytes.data(), out, [](std::uint16_t bits) { return widen_f16(bits); });
            return decode_bf16_rows(bf16_rows, bytes, out, width);
        case DataType::bf16:
            decode_halves(bytes.data(), out, [](std::uint16_t bits) { return widen_bf16(bits); });
            return {};
        default: break;
    }
    std::memcpy(out.data(), bytes.data(), bytes.size());
    if constexpr (kSwap) swap_bytes(out);
    return {};
}

}  // namespace molink
