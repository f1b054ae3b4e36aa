#pragma once

#include <optional>
#include <string>
#include <vector>

#include <molink/status.h>

#include "http/http_message.h"
#include "serve/api_error.h"
#include "serve/api_keys.h"
#include "serve/routes.h"

namespace molink::examples {

/// Who may see /metrics, /cluster and the details of /health. They name the nodes and their
/// addresses.
enum class StatusAccess {
    off,    ///< nobody: the paths do not exist
    local,  ///< clients on this host, and those with a key
    key,    ///< clients with a key
    open,   ///< everybody
};

/// Parses the value of --status. Errors: invalid_argument.
Result<StatusAccess> parse_status_access(const std::string& text);

/// Who may do what.
struct AccessRules {
    ApiKeys keys;
    StatusAccess status = StatusAccess::local;
    std::vector<std::string> origins;  ///< of web pages that may read answers; "*": all
};

/// Returns why the client may not use the route, or nothing if it may.
std::optional<ApiError> check_access(const AccessRules& rules, const HttpRequest& request,
                                     Route route);

/// Returns whether the client may see the details of the cluster.
bool sees_status(const AccessRules& rules, const HttpRequest& request);

/// Adds what permits the web page that made the request to read the answer, if it may (Fetch
/// standard, CORS).
void add_cors_fields(const AccessRules& rules, const HttpRequest& request, HttpReply& reply);

}  // namespace molink::examples
