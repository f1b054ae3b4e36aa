// Workers outlive heads: they join again when the head has gone, is full or has given them up, keep
// their layers until they are told, and end only when their patience does or a reason lasts.
#include "support/catch.h"
#include "support/cluster_fixture.h"

using namespace molink;
using test::ClusterFixture;
using test::FoldWorker;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
const std::vector<Token> kPrompt{5, 9, 2, 8, 4, 4, 1, 7, 3};

void serve_one(ClusterFixture& cluster) {
    const RequestId id = cluster.submit(kPrompt, 12);
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
    INFO(cluster.outcomes[id].status.to_string());
    REQUIRE(cluster.outcomes[id].tokens == test::fold_tokens(kPrompt, 12, test::kFoldLayers));
    cluster.outcomes.clear();
}

struct Lasting {
    Lasting() { cluster.join_within_us = cluster.give_up_after_us = kWaitForever; }

    ClusterFixture cluster{3, true};
};

}  // namespace

TEST_CASE("workers join the head that comes after theirs") {
    Lasting scene;
    ClusterFixture& cluster = scene.cluster;
    FoldWorker& a = cluster.add_worker("a");
    cluster.add_worker("b");
    REQUIRE(cluster.run_until_ready());
    serve_one(cluster);
    for (int i = 0; i < 3; ++i) {
        cluster.restart_head();
        REQUIRE(cluster.run_until_ready());
        REQUIRE(a.node->view().welcomed);
        REQUIRE(a.node->view().absence.empty());
        serve_one(cluster);
    }
}

TEST_CASE("a worker keeps its layers until a head says that the cluster is closed") {
    Lasting scene;
    ClusterFixture& cluster = scene.cluster;
    FoldWorker& a = cluster.add_worker("a");
    cluster.add_worker("b");
    REQUIRE(cluster.run_until_ready());
    const PipelineEpoch epoch = cluster.head->pipeline().epoch();
    REQUIRE(a.stages[0]->epoch() == epoch);
    cluster.restart_head();
    REQUIRE(cluster.run_until([&] { return !a.node->view().welcomed; }));
    REQUIRE(a.node->view().state == NodeState::joined);
    REQUIRE(a.stages[0]->epoch() == epoch);  // not unloaded
    REQUIRE(cluster.run_until_ready());
    cluster.head->farewell();
    REQUIRE(cluster.run_until([&] { return !a.node->view().welcomed; }));
    REQUIRE(a.stages[0]->epoch() == PipelineEpoch());
    REQUIRE(a.node->view().farewell == "the head closed the cluster");
    REQUIRE(a.node->view().absence.find("the head closed the cluster") != std::string::npos);
    REQUIRE_FALSE(a.node->over());
}

TEST_CASE("a worker that is not needed takes the place of one that is lost") {
    Lasting scene;
    ClusterFixture& cluster = scene.cluster;
    cluster.add_worker("a");
    cluster.add_worker("b");
    REQUIRE(cluster.run_until_ready());
    FoldWorker& spare = cluster.add_worker("c");
    cluster.run_until([] { return false; }, 20 * kSecond);
    REQUIRE_FALSE(spare.node->over());
    REQUIRE_FALSE(spare.node->view().welcomed);
    REQUIRE(spare.node->view().absence.find("complete") != std::string::npos);
    cluster.kill("b");
    const auto rebuilt = [&] {
        return cluster.head->pipeline().state() == EngineState::ready &&
               cluster.head->pipeline().epoch().epoch == Epoch(2);
    };
    REQUIRE(cluster.run_until(rebuilt, 90 * kSecond));
    REQUIRE(spare.node->view().state == NodeState::ready);
    serve_one(cluster);
}

TEST_CASE("a worker gives up after its time without a head") {
    Lasting scene;
    ClusterFixture& cluster = scene.cluster;
    cluster.give_up_after_us = 40 * kSecond;
    FoldWorker& a = cluster.add_worker("a");
    cluster.add_worker("b");
    REQUIRE(cluster.run_until_ready());
    cluster.head->farewell();
    REQUIRE(cluster.run_until([&] { return !a.node->view().welcomed; }));
    cluster.hub.reset();  // nobody answers any more
    const std::int64_t gone_us = cluster.clock.now;
    while (!a.node->over() && cluster.clock.now < gone_us + 60 * kSecond) {
        a.hub->poll(0);
        a.node->tick();
        cluster.clock.now += 1'000;
    }
    REQUIRE(a.node->over());
    REQUIRE(a.node->outcome().ok());  // the head had closed the cluster
    REQUIRE(cluster.clock.now - gone_us >= 39 * kSecond);
    REQUIRE(cluster.clock.now - gone_us <= 42 * kSecond);
}

TEST_CASE("a reason that lasts ends a worker at once") {
    Lasting scene;
    ClusterFixture& cluster = scene.cluster;
    NodeIdentity other = test::fold_identity("a");
    other.model_hash = 7;
    FoldWorker& a = cluster.add_worker(other);
    REQUIRE(cluster.run_until([&] { return a.node->over(); }, 5 * kSecond));
    REQUIRE(a.node->outcome().code() == StatusCode::failed_precondition);
    REQUIRE(a.node->outcome().message().find("refused by the head: ") == 0);
}

TEST_CASE("a worker whose stage has failed for a reason that may pass joins again") {
    Lasting scene;
    ClusterFixture& cluster = scene.cluster;
    FoldWorker& a = cluster.add_worker("a");
    cluster.add_worker("b");
    REQUIRE(cluster.run_until_ready());
    a.stages[0]->fail_next(Status(StatusCode::resource_exhausted, "the device is full"));
    cluster.submit(kPrompt, 10);
    REQUIRE(cluster.run_until([&] { return cluster.all_ended(); }));
    REQUIRE(cluster.outcomes.begin()->second.status.message().find("the device is full") !=
            std::string::npos);
    cluster.outcomes.clear();
    a.stages[0]->fail_next(Status());
    REQUIRE(cluster.run_until_ready());
    serve_one(cluster);
}

TEST_CASE("when an epoch ends its stages leave each other") {
    ClusterFixture cluster(4, true);
    cluster.give_up_after_us = kWaitForever;
    for (const char* name : {"a", "b", "c"}) cluster.add_worker(name);
    REQUIRE(cluster.run_until_ready());
    const auto links = [&] {
        std::size_t most = 0;
        for (const auto& worker : cluster.workers) {
            most = std::max(most, worker->node->view().links.size());
        }
        return most;
    };
    REQUIRE(links() == 2);  // to the head and to the next stage
    cluster.kill("b");
    REQUIRE(cluster.run_until([&] { return links() == 1; }));
    REQUIRE(cluster.head->pipeline().state() != EngineState::ready);  // there is no plan for three
}
