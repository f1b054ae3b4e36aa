#pragma once

#include <cstdint>
#include <string>

#include <molink/engine.h>

#include "http/http_message.h"

namespace molink::examples {

/// What /health and /readyz answer. `details`: with what is missing and the last error. `draining`:
/// the server is about to end.
HttpReply health_page(const ClusterView& view, bool details, bool draining);
/// What /cluster answers.
HttpReply cluster_page(const ClusterView& view, const std::string& model,
                       const std::string& address);
/// What /v1/models answers, and /v1/models/NAME without `list`. `created`: seconds since 1970.
HttpReply models_page(const ModelSpec& spec, const std::string& model, std::int64_t created,
                      bool list);

}  // namespace molink::examples
