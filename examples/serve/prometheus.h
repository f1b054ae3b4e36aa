#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include <molink/metrics.h>

namespace molink::examples {

/// Number of answers by (route, status).
using HttpCounts = std::map<std::pair<std::string, int>, std::uint64_t>;

/// Formats all counters of an engine in Prometheus' text format 0.0.4. Times are in seconds, sizes
/// in bytes.
std::string prometheus_text(const MetricsSnapshot& metrics, const HttpCounts& http);

}  // namespace molink::examples
