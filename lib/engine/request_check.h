#pragma once

#include <cstdint>

#include <molink/request.h>
#include <molink/status.h>

namespace molink {

/// Every limit that request.h states, apart from those of the prompt. Errors: invalid_argument
/// naming the field, its value and what is permitted.
Status check_request(const GenerateRequest& request, std::int32_t vocabulary, bool has_tokenizer);

}  // namespace molink
