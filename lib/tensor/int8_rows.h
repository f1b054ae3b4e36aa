#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <molink/status.h>

#include "base/bytes.h"

// Rows of int8, a part of activation_codec.h, which describes the format.
namespace molink {

/// Exact values of a row: residuals of trained models have a few channels that are 20 to 100 times
/// larger than the others, and one of them costs its group nearly all of its bits. With four, 24
/// bytes of a row, most of the error is gone (README.md, Slow and distant links).
inline constexpr std::int32_t kExactValues = 4;
/// Most exact values that a peer may send: with more, bf16 would be smaller.
inline constexpr std::int32_t kMostExactValues = 64;

/// Bytes of a row of `width` values of which `exact_values` are sent exactly.
std::size_t int8_row_bytes(std::size_t width, std::int32_t exact_values);

/// Writes rows, with memory that it keeps between them.
class Int8RowWriter {
public:
    Int8RowWriter(std::size_t width, std::int32_t exact_values);
    /// Writes int8_row_bytes() bytes. `finite`: no value of the row is NaN or infinite.
    void write(std::span<const float> row, bool finite, std::byte* out);

private:
    void fill_rest(std::span<const float> row, bool finite);
    std::byte* write_exact(std::span<const float> row, bool finite, std::byte* out);
    std::size_t take_largest();

    std::size_t exact_ = 0;
    std::vector<float> rest_;          // the row without its exact values
    std::vector<std::int32_t> peaks_;  // [groups of rest_] bits of the largest magnitude
};

/// Reads rows of `width` values. `bytes` has the right size. Errors: data_loss when an index of an
/// exact value is not inside the row.
Status read_int8_rows(ByteSpan bytes, std::size_t width, std::int32_t exact_values,
                      std::span<float> out);

}  // namespace molink
