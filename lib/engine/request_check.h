#pragma once

#include <cstdint>

#include <molink/request.h>
#include <molink/status.h>

namespace molink {

/// Checks the limits that request.h states, except those of the prompt. Errors: invalid_argument
/// naming the field, its value and the permitted range.
Status check_request(const GenerateRequest& request, std::int32_t vocabulary, bool has_tokenizer);

}  // namespace molink
