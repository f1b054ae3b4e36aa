// The paths of the server and their methods.
#include "serve/routes.h"

#include <fmt/format.h>

#include "serve/api_error.h"

namespace molink::examples {
namespace {

constexpr std::string_view kModels = "/v1/models";

}  // namespace

Route route_of(std::string_view path) {
    if (path == "/v1/completions") return Route::completions;
    if (path == "/health") return Route::health;
    if (path == "/livez") return Route::live;
    if (path == "/readyz") return Route::ready;
    if (path == "/metrics") return Route::metrics;
    if (path == "/cluster") return Route::cluster;
    if (path == kModels) return Route::models;
    if (path.starts_with(kModels) && path[kModels.size()] == '/') return Route::model;
    return path == "*" ? Route::any : Route::none;
}

const char* methods_of(Route route) {
    switch (route) {
        case Route::none: return "";
        case Route::any: return "OPTIONS";
        case Route::completions: return "POST, OPTIONS";
        default: return "GET, HEAD, OPTIONS";
    }
}

bool permits(Route route, std::string_view method) {
    if (method == "OPTIONS") return route != Route::none;
    if (route == Route::completions) return method == "POST";
    return route != Route::any && (method == "GET" || method == "HEAD");
}

std::optional<HttpReply> refuse_route(const HttpRequest& head, Route route) {
    ApiError error;
    if (route == Route::none) {
        error.status = 404;
        error.message = fmt::format("there is nothing at {}", head.path);
        return error_reply(error);
    }
    if (permits(route, head.method)) return std::nullopt;
    error.status = 405;
    error.message = fmt::format("{} does not accept {}", head.path, head.method);
    HttpReply reply = error_reply(error);
    reply.fields.push_back({"Allow", methods_of(route)});
    return reply;
}

HttpReply options_reply(Route route) {
    HttpReply reply;
    reply.status = 204;
    reply.fields.push_back({"Allow", methods_of(route)});
    return reply;
}

const char* route_name(Route route) {
    switch (route) {
        case Route::completions: return "/v1/completions";
        case Route::health: return "/health";
        case Route::live: return "/livez";
        case Route::ready: return "/readyz";
        case Route::metrics: return "/metrics";
        case Route::cluster: return "/cluster";
        case Route::models:
        case Route::model: return "/v1/models";
        default: return "other";
    }
}

}  // namespace molink::examples
