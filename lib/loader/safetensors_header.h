#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <molink/status.h>

#include "loader/safetensors.h"

namespace molink {

/// Reads the JSON header of a safetensors file and checks it against a data section of
/// `data_bytes`. Returns the tensors in the order of their data. `file` is used in messages.
/// Errors: data_loss.
Result<std::vector<TensorInfo>> parse_safetensors_header(std::string_view header,
                                                         std::uint64_t data_bytes,
                                                         const std::string& file);

}  // namespace molink
