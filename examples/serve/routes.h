#pragma once

#include <string_view>

namespace molink::examples {

enum class Route { none, any, live, ready, health, metrics, cluster, models, model, completions };

/// Returns the route of a normalised path; `any` for "*".
Route route_of(std::string_view path);
/// Returns the methods of a route, as in the field Allow.
const char* methods_of(Route route);
bool permits(Route route, std::string_view method);
/// Returns the name of a route in counters.
const char* route_name(Route route);

}  // namespace molink::examples
