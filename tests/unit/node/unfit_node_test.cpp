// Nodes that say absurd things of themselves: they are refused or left out with the figure and the
// bound, and the others go on without them.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "base/peer_limits.h"
#include "support/catch.h"
#include "support/cluster_fixture.h"

using namespace molink;
using test::ClusterFixture;

namespace {

Status hello_with(const std::function<void(NodeProfile&)>& change) {
    NodeIdentity worker = test::fold_identity("w");
    change(worker.devices[0].profile);
    return check_hello(make_hello(worker, "inproc://w"), test::fold_identity("head"),
                       test::fold_partition_model());
}

/// Returns what the head shows of a node; an empty description when it has not joined.
NodeInfo node_called(const ClusterView& view, const std::string& name) {
    const auto found = std::find_if(view.nodes.begin(), view.nodes.end(),
                                    [&](const NodeInfo& node) { return node.name == name; });
    return found == view.nodes.end() ? NodeInfo() : *found;
}

bool tokens_are_right(ClusterFixture& cluster) {
    const std::vector<Token> prompt{5, 9, 2, 8, 4};
    const RequestId id = cluster.submit(prompt, 12);
    return cluster.run_until([&] { return cluster.all_ended(); }) &&
           cluster.outcomes[id].tokens == test::fold_tokens(prompt, 12, test::kFoldLayers);
}

}  // namespace

TEST_CASE("a hello with an absurd profile is refused with node, figure and bound") {
    const double nan = std::nan("");
    const double infinite = std::numeric_limits<double>::infinity();
    CHECK(hello_with([](NodeProfile&) {}).ok());
    CHECK(hello_with([](NodeProfile& p) { p.decode_layer_us = limits::kLeastLayerUs; }).ok());
    CHECK(hello_with([](NodeProfile& p) { p.decode_layer_us = limits::kMaxProfileUs; }).ok());
    for (double time : {0.0, limits::kLeastLayerUs / 2, -1.0, 1e8, infinite, nan}) {
        const Status status = hello_with([&](NodeProfile& p) { p.decode_layer_us = time; });
        INFO(status.to_string());
        CHECK(status.code() == StatusCode::invalid_argument);
        CHECK(status.message().find(
                  fmt::format("node 'w': device '0' takes {} us for a decoded row in a layer; "
                              "0.0009765625 to 60000000 are possible",
                              time)) != std::string::npos);
    }
    for (double time : {-1.0, 1e8, infinite, nan}) {
        CHECK_FALSE(hello_with([&](NodeProfile& p) { p.decode_row_layer_us = time; }).ok());
        CHECK_FALSE(hello_with([&](NodeProfile& p) { p.prefill_row_layer_us = time; }).ok());
        CHECK_FALSE(hello_with([&](NodeProfile& p) { p.lm_head_row_us = time; }).ok());
    }
}

TEST_CASE("a node of zero speed is told why it is refused, and the cluster waits for another") {
    ClusterFixture cluster(2, true);
    NodeIdentity absurd = test::fold_identity("absurd");
    absurd.devices[0].profile.decode_layer_us = 0;
    const auto& refused = cluster.add_worker(absurd);
    REQUIRE(cluster.run_until([&] { return refused.node->over(); }));
    INFO(refused.node->outcome().to_string());
    CHECK(refused.node->outcome().message().find("takes 0 us") != std::string::npos);
    cluster.add_worker("honest");
    REQUIRE(cluster.run_until_ready());
    CHECK(tokens_are_right(cluster));
}

TEST_CASE("a node whose stage has room for one KV block is left out, and another takes its place") {
    ClusterFixture cluster(2, true);
    cluster.add_worker("liar").stages[0]->offer_kv_blocks(1);
    const auto reason = [&] { return node_called(cluster.head->view(), "liar").left_out; };
    REQUIRE(cluster.run_until([&] { return !reason().empty(); }));
    CHECK(reason().find("room for 1 KV block beside its weights; a pipeline needs at least 4") !=
          std::string::npos);
    // It is still there, and is not asked again.
    CHECK_FALSE(cluster.run_until([&] { return cluster.head->view().epoch > 1; }, 5'000'000));
    const ClusterView waiting = cluster.head->view();
    CHECK(waiting.state == EngineState::waiting);
    CHECK(waiting.missing.find("1 of 2 nodes") != std::string::npos);
    CHECK(waiting.last_error.find("node 'liar' is left out") != std::string::npos);
    CHECK(cluster.head->build_error().code() == StatusCode::resource_exhausted);

    cluster.add_worker("honest");
    REQUIRE(cluster.run_until_ready());
    const ClusterView serving = cluster.head->view();
    CHECK(serving.epoch == 2);
    CHECK(serving.stages.size() == 2);
    CHECK(node_called(serving, "honest").left_out.empty());
    CHECK(reason().find("room for 1 KV block") != std::string::npos);
    CHECK(node_called(serving, "liar").layers.empty());
    CHECK(cluster.head->build_error().ok());
    CHECK(tokens_are_right(cluster));
}

TEST_CASE("a node that was left out has another chance when it joins again") {
    ClusterFixture cluster(2, true);
    cluster.add_worker("small").stages[0]->offer_kv_blocks(1);
    REQUIRE(cluster.run_until(
        [&] { return !node_called(cluster.head->view(), "small").left_out.empty(); }));
    cluster.workers.front()->node->farewell();
    cluster.workers.front()->hub->poll(0);
    cluster.kill("small");
    REQUIRE(cluster.run_until([&] { return cluster.head->view().nodes.size() == 1; }));
    cluster.add_worker("small");
    REQUIRE(cluster.run_until_ready());
    CHECK(tokens_are_right(cluster));
}
