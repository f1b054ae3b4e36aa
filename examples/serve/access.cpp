// Keys, the switch of the status pages, and origins of web pages. Paths of health need no key: load
// balancers have none.
#include "serve/access.h"

#include <algorithm>

#include <fmt/format.h>

namespace molink::examples {
namespace {

/// Returns the key of "Authorization: Bearer KEY", or an empty text.
std::string_view key_of(const HttpRequest& request) {
    const std::string* value = request.find("authorization");
    if (value == nullptr) return {};
    constexpr std::string_view kScheme = "bearer ";
    if (lower_case(std::string_view(*value).substr(0, kScheme.size())) != kScheme) return {};
    const std::string_view key = std::string_view(*value).substr(kScheme.size());
    return key.substr(std::min(key.find_first_not_of(' '), key.size()));
}

bool has_key(const AccessRules& rules, const HttpRequest& request) {
    return !rules.keys.empty() && rules.keys.accepts(key_of(request));
}

ApiError no_key(const HttpRequest& request) {
    ApiError error;
    error.status = 401;
    error.type = "authentication_error";
    error.code = "invalid_api_key";
    error.message = request.find("authorization") == nullptr
                        ? "an API key is needed: send 'Authorization: Bearer KEY'"
                        : "the API key is wrong";
    return error;
}

}  // namespace

Result<StatusAccess> parse_status_access(const std::string& text) {
    if (text == "off") return StatusAccess::off;
    if (text == "local") return StatusAccess::local;
    if (text == "key") return StatusAccess::key;
    if (text == "open") return StatusAccess::open;
    return Status(StatusCode::invalid_argument,
                  fmt::format("--status is '{}'; off, local, key and open are permitted", text));
}

bool sees_status(const AccessRules& rules, const HttpRequest& request) {
    switch (rules.status) {
        case StatusAccess::off: return false;
        case StatusAccess::open: return true;
        case StatusAccess::local:
            if (request.from_loopback) return true;
            break;
        case StatusAccess::key: break;
    }
    return has_key(rules, request);
}

std::optional<ApiError> check_access(const AccessRules& rules, const HttpRequest& request,
                                     Route route) {
    if (request.method == "OPTIONS") return std::nullopt;  // a browser asks without a key
    switch (route) {
        case Route::metrics:
        case Route::cluster: {
            if (sees_status(rules, request)) return std::nullopt;
            if (!rules.keys.empty() && rules.status != StatusAccess::off) return no_key(request);
            ApiError error;
            error.status = rules.status == StatusAccess::off ? 404 : 403;
            error.message = fmt::format("{} is not served to this client", request.path);
            return error;
        }
        case Route::models:
        case Route::model:
        case Route::completions:
            if (rules.keys.empty() || has_key(rules, request)) return std::nullopt;
            return no_key(request);
        default: return std::nullopt;
    }
}

void add_cors_fields(const AccessRules& rules, const HttpRequest& request, HttpReply& reply) {
    if (rules.origins.empty()) return;
    reply.fields.push_back({"Vary", "Origin"});
    const std::string* origin = request.find("origin");
    if (origin == nullptr) return;
    const auto is = [&](const std::string& text) {
        return std::find(rules.origins.begin(), rules.origins.end(), text) != rules.origins.end();
    };
    if (!is("*") && !is(*origin)) return;
    reply.fields.push_back({"Access-Control-Allow-Origin", is("*") ? "*" : *origin});
    if (request.method != "OPTIONS") return;
    reply.fields.push_back({"Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"});
    reply.fields.push_back({"Access-Control-Allow-Headers", "Authorization, Content-Type"});
    reply.fields.push_back({"Access-Control-Max-Age", "600"});
}

}  // namespace molink::examples
