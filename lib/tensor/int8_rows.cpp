// Rows of 8-bit values. A group shares one scale, so a value that is much larger than the others
// would leave them few bits. The largest values of the row are therefore taken out first and sent
// as they are. Which ones are taken follows from the row alone: the largest magnitude, and the
// lowest index among equals. Relies on a row having few of them, because each is searched for.
#include "tensor/int8_rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/float_bits.h"

namespace molink {
namespace {

/// Values that share a scale. The group is small, so an outlier affects few values, and large
/// enough that scales are only a sixteenth of the bytes.
constexpr std::size_t kGroupValues = 64;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::size_t group_count(std::size_t width) {
    return (width + kGroupValues - 1) / kGroupValues;
}

std::size_t exact_count(std::size_t width, std::int32_t exact_values) {
    return std::min(width, static_cast<std::size_t>(std::max(exact_values, 0)));
}

std::size_t index_bytes(std::size_t width) {
    return width > 65536 ? sizeof(std::uint32_t) : sizeof(std::uint16_t);
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
    const float scale = finite ? largest / 127 : kNaN;
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

void decode_groups(const std::byte* in, std::span<float> row) {
    while (!row.empty()) {
        const std::size_t count = std::min(kGroupValues, row.size());
        const auto scale =
            std::bit_cast<float>(read_le<std::uint32_t>(std::span(in, sizeof(float)), 0));
        std::array<std::int8_t, kGroupValues> rounded;
        std::memcpy(rounded.data(), in + sizeof(float), count);
        for (std::size_t i = 0; i < count; ++i) row[i] = scale * rounded[i];
        in += sizeof(float) + count;
        row = row.subspan(count);
    }
}

/// Reads the exact values of a row into their places. Returns false if one has no place there.
bool decode_exact(const std::byte* in, std::size_t count, std::span<float> row) {
    const std::size_t size = index_bytes(row.size());
    for (; count > 0; --count, in += size + sizeof(float)) {
        const std::span<const std::byte> from(in, size + sizeof(float));
        const std::size_t index = size == sizeof(std::uint16_t) ? read_le<std::uint16_t>(from, 0)
                                                                : read_le<std::uint32_t>(from, 0);
        if (index >= row.size()) return false;
        row[index] = std::bit_cast<float>(read_le<std::uint32_t>(from, size));
    }
    return true;
}

}  // namespace

std::size_t int8_row_bytes(std::size_t width, std::int32_t exact_values) {
    return width + group_count(width) * sizeof(float) +
           exact_count(width, exact_values) * (index_bytes(width) + sizeof(float));
}

Int8RowWriter::Int8RowWriter(std::size_t width, std::int32_t exact_values)
    : exact_(exact_count(width, exact_values)) {
    if (exact_ == 0) return;
    rest_.resize(width);
    peaks_.resize(group_count(width));
}

/// Takes the value with the largest magnitude out of the rest. Returns its index.
std::size_t Int8RowWriter::take_largest() {
    const auto peak = std::max_element(peaks_.begin(), peaks_.end());
    const std::size_t begin = static_cast<std::size_t>(peak - peaks_.begin()) * kGroupValues;
    const std::span<float> group =
        std::span(rest_).subspan(begin, std::min(kGroupValues, rest_.size() - begin));
    std::size_t at = 0;
    while (peak_bits(group.subspan(at, 1)) != *peak) ++at;
    group[at] = 0;
    *peak = peak_bits(group);
    return begin + at;
}

void Int8RowWriter::fill_rest(std::span<const float> row, bool finite) {
    rest_.assign(row.begin(), row.end());
    if (!finite) std::fill(rest_.begin(), rest_.end(), kNaN);
    for (std::size_t g = 0; g < peaks_.size(); ++g) {
        const std::size_t begin = g * kGroupValues;
        const std::size_t count = std::min(kGroupValues, rest_.size() - begin);
        peaks_[g] = peak_bits(std::span(rest_).subspan(begin, count));
    }
}

std::byte* Int8RowWriter::write_exact(std::span<const float> row, bool finite, std::byte* out) {
    const std::size_t size = index_bytes(row.size());
    for (std::size_t i = 0; i < exact_; ++i, out += size + sizeof(float)) {
        const std::size_t index = take_largest();
        const std::span<std::byte> to(out, size + sizeof(float));
        if (size == sizeof(std::uint16_t)) {
            write_le(to, 0, static_cast<std::uint16_t>(index));
        } else {
            write_le(to, 0, static_cast<std::uint32_t>(index));
        }
        write_le(to, size, std::bit_cast<std::uint32_t>(finite ? row[index] : kNaN));
    }
    return out;
}

void Int8RowWriter::write(std::span<const float> row, bool finite, std::byte* out) {
    if (exact_ > 0) {
        fill_rest(row, finite);
        out = write_exact(row, finite, out);
        row = rest_;
    }
    for (std::size_t at = 0; at < row.size(); at += kGroupValues) {
        const std::size_t count = std::min(kGroupValues, row.size() - at);
        encode_group(row.subspan(at, count), out);
        out += sizeof(float) + count;
    }
}

Status read_int8_rows(ByteSpan bytes, std::size_t width, std::int32_t exact_values,
                      std::span<float> out) {
    const std::size_t exact = exact_count(width, exact_values);
    const std::size_t row_bytes = int8_row_bytes(width, exact_values);
    const std::size_t exact_bytes = exact * (index_bytes(width) + sizeof(float));
    for (std::size_t row = 0; row * width < out.size(); ++row) {
        const std::byte* from = bytes.data() + row * row_bytes;
        const std::span<float> to = out.subspan(row * width, width);
        decode_groups(from + exact_bytes, to);
        if (decode_exact(from, exact, to)) continue;
        return make_error(StatusCode::data_loss,
                          "decode activations: an exact value of row {} is not among its {} values",
                          row, width);
    }
    return {};
}

}  // namespace molink
