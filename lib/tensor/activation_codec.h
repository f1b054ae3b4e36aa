#pragma once

#include <cstddef>
#include <span>

#include <molink/status.h>
#include <molink/types.h>

#include "base/bytes.h"

namespace molink {

/// Returns whether `type` is a format of activations: f32, f16, bf16 or int8.
bool is_activation_type(DataType type);

/// Bytes of `rows` rows of `width` values in the format `type`; 0 for other types.
std::size_t activation_bytes(DataType type, std::size_t rows, std::size_t width);

/// Encodes rows [values.size() / width, width] to little-endian bytes. f16 and bf16 round to
/// nearest even. With int8, a row consists of groups of 64 values; the last group may be shorter. A
/// group is its scale (f32, the largest magnitude / 127) and its values / scale, rounded to nearest
/// even. The scale is NaN if a value of the group is not finite.
Bytes encode_activations(DataType type, std::span<const float> values, std::size_t width);

/// Decodes rows of `width` values. Errors: data_loss when the size does not match `out`.
Status decode_activations(DataType type, ByteSpan bytes, std::span<float> out, std::size_t width);

}  // namespace molink
