// The pages that supervisors and load balancers ask for, of a server as of a worker.
#include "serve/health_pages.h"

namespace molink::examples {

using Json = nlohmann::json;

HttpReply json_reply(const Json& json) {
    HttpReply reply;
    reply.type = "application/json";
    reply.body = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    return reply;
}

HttpReply live_reply() {
    return json_reply({{"status", "alive"}});
}

HttpReply health_reply(const std::string& status, bool ready, const Json& details) {
    Json body = details;
    body["status"] = status;
    HttpReply reply = json_reply(body);
    if (!ready) {
        reply.status = 503;
        reply.fields.push_back({"Retry-After", "1"});
    }
    return reply;
}

}  // namespace molink::examples
