// What a worker says of itself, for each state that it can be in.
#include "worker/worker_page.h"

#include <nlohmann/json.hpp>

#include "support/catch.h"

using namespace molink;
using namespace molink::examples;

namespace {

WorkerView view_of(NodeState state, bool welcomed, LayerRange layers = {}) {
    WorkerView view;
    view.state = state;
    view.welcomed = welcomed;
    view.address = "tcp://127.0.0.1:7200";
    WorkerStageView stage;
    stage.device = "cpu:0";
    stage.layers = layers;
    view.stages = {stage};
    return view;
}

}  // namespace

TEST_CASE("a worker is ready when it does all that its head asks of it") {
    const struct {
        WorkerState state;
        const char* status;
        int code;
    } cases[] = {
        {{}, "starting", 503},
        {{view_of(NodeState::joined, false), false}, "joining", 503},
        {{view_of(NodeState::joined, true), false}, "joined", 200},
        {{view_of(NodeState::joined, true, {0, 4}), false}, "joined", 503},
        {{view_of(NodeState::loading, true, {0, 4}), false}, "loading", 503},
        {{view_of(NodeState::ready, true, {0, 4}), false}, "ready", 200},
        {{view_of(NodeState::ready, true, {0, 4}), true}, "stalled", 503},
        {{view_of(NodeState::lost, true), false}, "lost", 503},
        {{view_of(NodeState::lost, false), false}, "lost", 503},
    };
    for (const auto& item : cases) {
        INFO(item.status);
        const HttpReply reply = worker_page(item.state, false);
        CHECK(reply.status == item.code);
        CHECK(reply.body == "{\"status\":\"" + std::string(item.status) + "\"}");
    }
}

TEST_CASE("details show the view of the worker") {
    WorkerState state{view_of(NodeState::ready, true, {2, 4}), false};
    state.view->epoch = 7;
    state.view->stages[0].kv_blocks = 12;
    state.view->links.emplace_back().peer = "head";
    const auto json = nlohmann::json::parse(worker_page(state, true).body);
    CHECK(json["status"] == "ready");
    CHECK(json["epoch"] == 7);
    CHECK(json["address"] == "tcp://127.0.0.1:7200");
    CHECK(json["stages"][0]["layers"] == nlohmann::json::array({2, 4}));
    CHECK(json["stages"][0]["kv_blocks"] == 12);
    CHECK(json["links"][0]["peer"] == "head");
    CHECK(worker_page({}, true).body == R"({"status":"starting"})");
}
