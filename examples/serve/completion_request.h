#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/request.h>

namespace molink::examples {

/// An error in the form of OpenAI's API.
struct ApiError {
    int status = 400;
    std::string message;
    std::string type = "invalid_request_error";
    std::string param;  ///< empty: null
    std::string code;   ///< empty: null
};

/// Returns the body of the error: {"error": {...}}.
std::string error_body(const ApiError& error);

/// The content of POST /v1/completions. Completion k of prompt i is choice i * n + k.
struct CompletionRequest {
    std::string model;
    std::vector<GenerateRequest> prompts;  ///< at least one; they differ only in the prompt
    bool stream = false;
    bool include_usage = false;
};

/// Reads a request body. Unknown members are ignored, as OpenAI's service does. A member with a
/// wrong type or out of range is an error that names it. Never throws. Returns the error, if there
/// is one; `out` is complete only without an error.
std::optional<ApiError> parse_completion(std::string_view body, CompletionRequest& out);

}  // namespace molink::examples
