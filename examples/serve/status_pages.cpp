// The pages that show the state of the engine, as JSON. Pure functions of copies.
#include "serve/status_pages.h"

#include "serve/health_pages.h"

namespace molink::examples {
namespace {

using Json = nlohmann::json;

Json node_json(const NodeInfo& node) {
    return {{"id", node.id.value},
            {"name", node.name},
            {"device", node.device},
            {"host_id", node.host_id},
            {"address", node.address},
            {"state", std::string(node_state_name(node.state))},
            {"layers", {node.layers.begin, node.layers.end}},
            {"memory_bytes", node.memory_bytes},
            {"weight_bytes", node.weight_bytes},
            {"loaded_bytes", node.loaded_bytes},
            {"kv_blocks", node.kv_blocks},
            {"decode_layer_us", node.decode_layer_us},
            {"left_out", node.left_out}};
}

const char* state_name(EngineState state) {
    switch (state) {
        case EngineState::waiting: return "waiting";
        case EngineState::loading: return "loading";
        case EngineState::ready: return "ready";
        case EngineState::closed: return "closed";
    }
    return "unknown";
}

}  // namespace

HttpReply health_page(const ClusterView& view, bool details, bool draining) {
    const bool ready = view.state == EngineState::ready && !draining;
    Json more = Json::object();
    if (!ready && details) {
        more["missing"] = view.missing;
        if (!view.last_error.empty()) more["last_error"] = view.last_error;
    }
    return health_reply(draining ? "draining" : state_name(view.state), ready, more);
}

HttpReply cluster_page(const ClusterView& view, const std::string& model,
                       const std::string& address) {
    Json nodes = Json::array();
    for (const NodeInfo& node : view.nodes) nodes.push_back(node_json(node));
    Json stages = Json::array();
    for (NodeId stage : view.stages) stages.push_back(stage.value);
    return json_reply({{"state", state_name(view.state)},
                       {"missing", view.missing},
                       {"last_error", view.last_error},
                       {"epoch", view.epoch},
                       {"address", address},
                       {"model", model},
                       {"nodes", std::move(nodes)},
                       {"stages", std::move(stages)}});
}

HttpReply models_page(const ModelSpec& spec, const std::string& model, std::int64_t created,
                      bool list) {
    const Json one{{"id", model},
                   {"object", "model"},
                   {"created", created},
                   {"owned_by", "molink"},
                   {"max_model_len", spec.context}};
    if (!list) return json_reply(one);
    return json_reply({{"object", "list"}, {"data", Json::array({one})}});
}

}  // namespace molink::examples
