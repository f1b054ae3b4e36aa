// The state of a worker as a page. Pure functions of copies.
#include "worker/worker_page.h"

#include <algorithm>

#include "serve/health_pages.h"

namespace molink::examples {
namespace {

using Json = nlohmann::json;

Json stage_json(const WorkerStageView& stage) {
    return {{"device", stage.device},
            {"state", std::string(node_state_name(stage.state))},
            {"layers", {stage.layers.begin, stage.layers.end}},
            {"weight_bytes", stage.weight_bytes},
            {"loaded_bytes", stage.loaded_bytes},
            {"kv_blocks", stage.kv_blocks}};
}

Json link_json(const LinkMetrics& link) {
    return {{"peer", link.peer},
            {"sent_bytes", link.sent_bytes},
            {"received_bytes", link.received_bytes},
            {"round_trip_us", link.round_trip_us}};
}

Json details_of(const WorkerView& view) {
    Json stages = Json::array();
    for (const WorkerStageView& stage : view.stages) stages.push_back(stage_json(stage));
    Json links = Json::array();
    for (const LinkMetrics& link : view.links) links.push_back(link_json(link));
    return {{"welcomed", view.welcomed},   {"address", view.address},
            {"epoch", view.epoch},         {"farewell", view.farewell},
            {"stages", std::move(stages)}, {"links", std::move(links)}};
}

std::string status_of(const WorkerState& state) {
    if (!state.view) return "starting";
    if (state.stalled) return "stalled";
    if (state.view->state != NodeState::lost && !state.view->welcomed) return "joining";
    return std::string(node_state_name(state.view->state));
}

}  // namespace

bool is_ready(const WorkerView& view) {
    if (!view.welcomed) return false;
    if (view.state == NodeState::ready) return true;
    const bool has_stage = std::any_of(view.stages.begin(), view.stages.end(),
                                       [](const auto& stage) { return !stage.layers.empty(); });
    return view.state == NodeState::joined && !has_stage;
}

HttpReply worker_page(const WorkerState& state, bool details) {
    const bool ready = state.view && !state.stalled && is_ready(*state.view);
    const bool shown = details && state.view;
    return health_reply(status_of(state), ready, shown ? details_of(*state.view) : Json::object());
}

}  // namespace molink::examples
