// Errors in the shape that clients of OpenAI's API read, whoever found them: the HTTP layer, the
// parser of the body or the engine.
#include "serve/api_error.h"

#include <nlohmann/json.hpp>

namespace molink::examples {

using Json = nlohmann::json;

std::string error_body(const ApiError& error) {
    const auto text = [](const std::string& value) { return value.empty() ? Json() : Json(value); };
    const Json body{{"error",
                     {{"message", error.message},
                      {"type", error.type},
                      {"param", text(error.param)},
                      {"code", text(error.code)}}}};
    return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

HttpReply error_reply(const ApiError& error) {
    HttpReply reply;
    reply.status = error.status;
    reply.type = "application/json";
    reply.body = error_body(error);
    if (error.status == 429 || error.status == 503) reply.fields.push_back({"Retry-After", "1"});
    if (error.status == 401) reply.fields.push_back({"WWW-Authenticate", "Bearer"});
    return reply;
}

ApiError to_api_error(const HttpFault& fault) {
    ApiError error;
    error.status = fault.status;
    error.message = fault.message;
    if (fault.status == 503) {
        error.type = "service_unavailable_error";
        error.code = "service_unavailable";
    }
    return error;
}

ApiError to_api_error(const Status& status) {
    ApiError error;
    error.message = status.message();
    switch (status.code()) {
        case StatusCode::invalid_argument: error.status = 400; break;
        case StatusCode::resource_exhausted:
            error.status = 429;
            error.type = "rate_limit_error";
            error.code = "rate_limit_exceeded";
            break;
        case StatusCode::unavailable:
        case StatusCode::failed_precondition:
        case StatusCode::cancelled:
            error.status = 503;
            error.type = "service_unavailable_error";
            error.code = "service_unavailable";
            break;
        default:
            error.status = 500;
            error.type = "server_error";
            error.code = "internal_error";
    }
    return error;
}

}  // namespace molink::examples
