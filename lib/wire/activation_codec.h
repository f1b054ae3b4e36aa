#pragma once

#include <cstddef>
#include <span>

#include <molink/status.h>
#include <molink/types.h>

#include "base/bytes.h"

namespace molink {

/// Bytes of `count` values as `type` (f32, f16, bf16).
std::size_t activation_bytes(DataType type, std::size_t count);

/// Hidden rows to bytes, little-endian; f16 and bf16 round to nearest even.
Bytes encode_activations(DataType type, std::span<const float> values);

/// Bytes to hidden rows. Errors: data_loss when the size is not activation_bytes(type, out.size()).
Status decode_activations(DataType type, ByteSpan bytes, std::span<float> out);

}  // namespace molink
