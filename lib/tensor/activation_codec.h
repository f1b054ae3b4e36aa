#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

#include "base/bytes.h"

namespace molink {

/// Returns whether `type` is a format of activations: f32, f16, bf16 or int8.
bool is_activation_type(DataType type);

/// How hidden rows are written. The default of each member is what every peer can read.
struct ActivationFormat {
    DataType type = DataType::f32;
    /// int8: this many of a row's largest values are sent exactly, beside the groups.
    std::int32_t exact_values = 0;
    /// f16: a row with a value that f16 cannot express is written as bf16, in as many bytes.
    bool widens = false;
    friend bool operator==(const ActivationFormat&, const ActivationFormat&) = default;
};

/// Returns the most exact format of `type` that this release writes.
ActivationFormat newest_format(DataType type);

/// Bytes of `rows` rows of `width` values; 0 for types that are not of activations.
std::size_t activation_bytes(const ActivationFormat& format, std::size_t rows, std::size_t width);

/// Rows as bytes, and those among them that are special, each list in rising order.
struct EncodedRows {
    Bytes bytes;
    std::vector<std::uint32_t> bf16_rows;   ///< written as bf16 instead of f16
    std::vector<std::uint32_t> not_finite;  ///< with NaN or infinity
    std::vector<std::uint32_t> too_large;   ///< with a finite value that the format cannot express
};

/// Encodes rows [values.size() / width, width] to little-endian bytes. f16 and bf16 round to
/// nearest even, and what is too large becomes infinite. With int8, a row consists of its exact
/// values, each an index (16 bits, or 32 in rows of more than 65536 values) and an f32, and then of
/// groups of 64 values; the last group may be shorter. A group is its scale (f32, the largest
/// magnitude / 127) and its values / scale, rounded to nearest even; exact values count as 0 there.
/// The scale is NaN if a value of the group is not finite. With exact values, a row with such a
/// value is NaN as a whole.
EncodedRows encode_activations(const ActivationFormat& format, std::span<const float> values,
                               std::size_t width);

/// Decodes rows of `width` values. `bf16_rows`: EncodedRows::bf16_rows. Errors: data_loss when the
/// size does not match `out`, or a row or an index is not inside.
Status decode_activations(const ActivationFormat& format, std::span<const std::uint32_t> bf16_rows,
                          ByteSpan bytes, std::span<float> out, std::size_t width);

}  // namespace molink
