#pragma once

#include <string>

#include <nlohmann/json.hpp>

#include "http/http_message.h"

namespace molink::examples {

HttpReply json_reply(const nlohmann::json& json);

/// What /livez answers while the process runs.
HttpReply live_reply();

/// What /readyz and /health answer: `status`, and 503 unless `ready`. `details`: further members.
HttpReply health_reply(const std::string& status, bool ready,
                       const nlohmann::json& details = nlohmann::json::object());

}  // namespace molink::examples
