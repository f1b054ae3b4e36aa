#pragma once

#include <cstddef>
#include <span>

#include <molink/status.h>
#include <molink/types.h>

#include "base/bytes.h"

namespace molink {

/// Formats of activations: f32, f16, bf16, int8.
bool is_activation_type(DataType type);

/// Bytes of `rows` rows of `width` values as `type`; 0 for other types.
std::size_t activation_bytes(DataType type, std::size_t rows, std::size_t width);

/// Rows [values.size() / width, width] to bytes, little-endian; f16 and bf16 round to nearest even.
/// int8: a row is groups of 64 values (the last may be shorter), each its scale (f32, the largest
/// magnitude / 127) and its values / scale, rounded to nearest even. A group with a value that is
/// not finite has the scale NaN.
Bytes encode_activations(DataType type, std::span<const float> values, std::size_t width);

/// Bytes to rows of `width` values. Errors: data_loss when the size does not fit `out`.
Status decode_activations(DataType type, ByteSpan bytes, std::span<float> out, std::size_t width);

}  // namespace molink
