#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/request.h>

#include "serve/api_error.h"

namespace molink::examples {

/// The content of POST /v1/completions. Completion k of prompt i is choice i * n + k.
struct CompletionRequest {
    std::string model;
    std::vector<GenerateRequest> prompts;  ///< at least one; they differ only in the prompt
    bool stream = false;
    bool include_usage = false;
};

/// Reads a request body. Members that change nothing are ignored, as OpenAI's service does. A
/// member that is not supported and would change the answer, has a wrong type or is out of range is
/// an error that names it. Memory is bounded by a small multiple of the body. Never throws, except
/// for lack of memory. Returns the error, if there is one; `out` is complete only without an error.
std::optional<ApiError> parse_completion(std::string_view body, CompletionRequest& out);

}  // namespace molink::examples
