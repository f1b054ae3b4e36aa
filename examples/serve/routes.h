#pragma once

#include <optional>
#include <string_view>

#include "http/http_message.h"

namespace molink::examples {

enum class Route { none, any, live, ready, health, metrics, cluster, models, model, completions };

/// Returns the route of a normalised path; `any` for "*".
Route route_of(std::string_view path);
/// Returns the methods of a route, as in the field Allow.
const char* methods_of(Route route);
bool permits(Route route, std::string_view method);
/// Returns the answer to a request for nothing that there is, or with a method that its route does
/// not accept; nothing if there is no such fault.
std::optional<HttpReply> refuse_route(const HttpRequest& head, Route route);
/// Returns the answer to OPTIONS.
HttpReply options_reply(Route route);
/// Returns the name of a route in counters.
const char* route_name(Route route);

}  // namespace molink::examples
