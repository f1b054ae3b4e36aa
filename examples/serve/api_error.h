#pragma once

#include <string>

#include <molink/status.h>

#include "http/http_message.h"

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

/// Returns the answer: status, body, and Retry-After where another attempt may succeed.
HttpReply error_reply(const ApiError& error);

/// Converts a fault of the HTTP layer.
ApiError to_api_error(const HttpFault& fault);
/// Converts an error of the engine.
ApiError to_api_error(const Status& status);

}  // namespace molink::examples
