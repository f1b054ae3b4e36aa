#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <molink/request.h>

namespace molink::examples {

/// An error as OpenAI's API tells it.
struct ApiError {
    int status = 400;
    std::string message;
    std::string type = "invalid_request_error";
    std::string param;  ///< empty: null
    std::string code;   ///< empty: null
};

/// The body of the error, {"error": {...}}.
std::string error_body(const ApiError& error);

/// What POST /v1/completions asks for. Completion k of prompt i is choice i * n + k.
struct CompletionRequest {
    std::string model;
    std::vector<GenerateRequest> prompts;  ///< at least one; all alike but for the prompt
    bool stream = false;
    bool include_usage = false;
};

/// Reads a request body. Unknown members are passed over, as the service does; members of a wrong
/// type or out of range are errors that name them. Never throws. Returns the error, if any; `out`
/// is only complete without one.
std::optional<ApiError> parse_completion(std::string_view body, CompletionRequest& out);

}  // namespace molink::examples
