// Measurement of links before the first plan, with whole clusters on a simulated network of known
// links.
#include <algorithm>
#include <cmath>

#include "node/link_survey.h"
#include "sim/sim_cluster.h"
#include "support/catch.h"
#include "support/cluster_fixture.h"

namespace molink {
namespace {

constexpr std::int64_t kMs = 1'000;

class Scene final : public RequestEventSink {
public:
    explicit Scene(const SimScenario& scenario)
        : scenario_(scenario), cluster(scenario_, policies_, *this) {}

    /// Runs until the pipeline serves. Returns false if it does not within `limit_us`.
    bool serve(std::int64_t limit_us = 60'000'000) {
        const std::int64_t end = cluster.clock.now + limit_us;
        while (cluster.head().pipeline().state() != EngineState::ready) {
            const std::int64_t next = cluster.next_event_us();
            if (next > end) return false;
            cluster.clock.now = std::max(cluster.clock.now, next);
            cluster.step();
        }
        return true;
    }
    NodeId id_of(const std::string& name) {
        for (const NodeInfo& node : cluster.head().view().nodes) {
            if (node.name == name) return node.id;
        }
        return NodeId(0);
    }
    LinkModel link(const std::string& from, const std::string& to) {
        for (const PartitionLink& link : cluster.head().pipeline().partition().input.links) {
            if (link.from == id_of(from) && link.to == id_of(to)) return link.model;
        }
        FAIL("no link from " + from + " to " + to);
        return {};
    }
    std::vector<std::string> order() {
        std::vector<std::string> names;
        const ClusterView view = cluster.head().view();
        for (NodeId stage : view.stages) {
            for (const NodeInfo& node : view.nodes) {
                if (node.id == stage) names.push_back(node.name);
            }
        }
        return names;
    }
    void on_request_event(RequestEvent) override {}

private:
    SimScenario scenario_;
    SimPolicies policies_;

public:
    sim::SimCluster cluster;
};

SimScenario scenario_of(std::int32_t nodes, const LinkModel& link) {
    SimScenario scenario;
    scenario.nodes = {SimNode{"head"}};
    for (std::int32_t i = 1; i < nodes; ++i) {
        scenario.nodes.push_back(SimNode{"w" + std::to_string(i)});
    }
    for (SimNode& node : scenario.nodes) node.decode_us = 20'000;
    scenario.layers = nodes;
    scenario.link = link;
    return scenario;
}

void near(double found, double expected) {
    INFO("found " << found << ", expected " << expected);
    CHECK(std::abs(found - expected) <= 0.2 * expected);
}

}  // namespace

TEST_CASE("the head knows the links of all pairs, each direction on its own") {
    SimScenario scenario = scenario_of(4, {});
    const std::vector<std::string> names{"head", "w1", "w2", "w3"};
    for (std::size_t a = 0; a < names.size(); ++a) {
        for (std::size_t b = 0; b < names.size(); ++b) {
            const double mbit = 10.0 * static_cast<double>(1 + (3 * a + 5 * b) % 8);
            const auto delay = static_cast<std::int64_t>(5 + 4 * (a + b)) * kMs;
            if (a != b) scenario.links.push_back({names[a], names[b], {mbit * 125e3, delay, 0}});
        }
    }
    Scene scene(scenario);
    REQUIRE(scene.serve());
    for (const SimLink& link : scenario.links) {
        INFO(link.from << " -> " << link.to);
        const LinkModel found = scene.link(link.from, link.to);
        near(found.bytes_per_s, link.model.bytes_per_s);
        near(static_cast<double>(found.delay_us), static_cast<double>(link.model.delay_us));
    }
    CHECK(scene.cluster.clock.now < 5'000'000);
}

TEST_CASE("measurement takes little time when links are fast") {
    Scene scene(scenario_of(3, {}));
    Scene plain([] {
        SimScenario scenario = scenario_of(3, {});
        scenario.probe_links = false;
        return scenario;
    }());
    REQUIRE(scene.serve());
    REQUIRE(plain.serve());
    CHECK(scene.cluster.clock.now - plain.cluster.clock.now < 200 * kMs);
    CHECK(scene.link("w1", "w2").bytes_per_s == 0);
    CHECK(scene.link("w1", "w2").delay_us == 0);
    CHECK(plain.cluster.head().pipeline().partition().input.links.empty());
}

TEST_CASE("eight nodes at 100 Mbit/s are measured in seconds") {
    Scene scene(scenario_of(8, {12.5e6, 10 * kMs, 0}));
    REQUIRE(scene.serve());
    UNSCOPED_INFO(scene.cluster.clock.now);
    CHECK(scene.cluster.clock.now < 6'000'000);
    for (const char* from : {"head", "w3", "w7"}) {
        for (const char* to : {"w1", "w4", "w6"}) near(scene.link(from, to).bytes_per_s, 12.5e6);
    }
}

TEST_CASE("the order of stages avoids a slow link") {
    for (const bool forth : {true, false}) {
        SimScenario scenario = scenario_of(3, {125e6, 2 * kMs, 0});
        const LinkModel slow{1e6, 40 * kMs, 0};
        scenario.hidden = 1024;
        scenario.links = {{forth ? "w1" : "w2", forth ? "w2" : "w1", slow}};
        Scene scene(scenario);
        REQUIRE(scene.serve());
        const std::vector<std::string> expected{"head", forth ? "w2" : "w1", forth ? "w1" : "w2"};
        CHECK(scene.order() == expected);
    }
}

TEST_CASE("a node that does not answer does not delay the plan for long") {
    SimScenario scenario = scenario_of(3, {12.5e6, 5 * kMs, 0});
    Scene scene(scenario);
    scene.cluster.network.cut("w1", "w2", 6'500'000);
    REQUIRE(scene.serve());
    CHECK(scene.cluster.clock.now < 8'000'000);
    CHECK(scene.link("w2", "w1").delay_us >= 1'000 * kMs);
    near(scene.link("head", "w2").bytes_per_s, 12.5e6);
    CHECK(scene.order().size() == 3);
}

TEST_CASE("only a new node is measured when a pipeline is built again") {
    SimScenario scenario = scenario_of(3, {12.5e6, 5 * kMs, 0});
    Scene scene(scenario);
    REQUIRE(scene.serve());
    const std::int64_t first = scene.cluster.clock.now;
    scene.cluster.stop_worker("w2", false);
    while (scene.cluster.head().pipeline().state() == EngineState::ready) {
        scene.cluster.clock.now = std::max(scene.cluster.clock.now, scene.cluster.next_event_us());
        scene.cluster.step();
    }
    // A change of the link between the remaining nodes is not measured, that to the new node is.
    scene.cluster.network.set_link("head", "w1", {50e6, 5 * kMs, 0});
    scene.cluster.network.set_link("w1", "w2", {1.25e6, 5 * kMs, 0});
    scene.cluster.start_worker("w2");
    const std::int64_t begin = scene.cluster.clock.now;
    REQUIRE(scene.serve());
    CHECK(scene.cluster.clock.now - begin < first + 3'000'000);
    near(scene.link("head", "w1").bytes_per_s, 12.5e6);
    near(scene.link("w1", "w2").bytes_per_s, 1.25e6);
}

namespace {

/// Runs a survey in which every pair answers after 100 ms. Returns how long it took.
std::int64_t survey(LinkSurvey& links, const std::vector<NodeId>& nodes, std::size_t& pairs) {
    std::int64_t now = 0;
    while (true) {
        const LinkSurvey::Turn turn = links.advance(nodes, now);
        if (!turn.going) return now;
        now += 100'000;
        std::vector<NodeId> busy;
        for (const auto& [from, to] : turn.begin) {
            ++pairs;
            for (NodeId id : {from, to}) {
                CHECK(std::find(busy.begin(), busy.end(), id) == busy.end());
                busy.push_back(id);
            }
            const double rate = 1e6 * (1 + to.value % 3);
            const NodeId back = to.value == 0 ? from : to;
            CHECK(links.add_result(back, {to, from, true, 2e6, 10'000, 0}, now));
            CHECK(links.add_result(from, {from, to, true, rate, 10'000, 0}, now));
        }
    }
}

std::vector<NodeId> nodes_of(std::uint32_t count) {
    std::vector<NodeId> nodes;
    for (std::uint32_t i = 0; i < count; ++i) nodes.push_back(NodeId(i));
    return nodes;
}

}  // namespace

TEST_CASE("a survey measures every pair once, and a node with one other at a time") {
    for (const std::uint32_t count : {2u, 3u, 8u, 15u, 16u}) {
        LinkSurvey links;
        std::size_t pairs = 0;
        const std::int64_t took = survey(links, nodes_of(count), pairs);
        CHECK(pairs == count * (count - 1) / 2);
        CHECK(took <= 100'000 * (count + count % 2 - 1));
    }
}

TEST_CASE("large clusters are measured in part, and other links follow from those of their ends") {
    LinkSurvey links;
    std::size_t pairs = 0;
    std::vector<NodeId> ids;
    for (std::uint32_t i = 0; i < 100; ++i) ids.push_back(NodeId(i));
    survey(links, nodes_of(100), pairs);
    CHECK(pairs == 15 * 50);
    const std::vector<PartitionLink> all = links.links(ids);
    REQUIRE(all.size() == 100 * 99);
    for (const PartitionLink& link : all) {
        CHECK(link.model.bytes_per_s >= 1e6);
        CHECK(link.model.bytes_per_s <= 3e6);
        CHECK(link.model.delay_us == 10'000);
    }
}

TEST_CASE("a survey accepts only results that it asked for") {
    LinkSurvey links;
    const auto nodes = nodes_of(3);
    const LinkSurvey::Turn turn = links.advance(nodes, 0);
    REQUIRE(turn.begin.size() == 1);
    const auto [from, to] = turn.begin.front();
    CHECK_FALSE(links.add_result(to, {from, to, true, 1e6, 0, 0}, 10));
    CHECK_FALSE(links.add_result(NodeId(7), {from, to, true, 1e6, 0, 0}, 10));
    CHECK_FALSE(links.add_result(from, {from, NodeId(9), true, 1e6, 0, 0}, 10));
    CHECK(links.links({from, to}).empty());
    CHECK(links.add_result(from, {from, to, false, 0, 0, 0}, 10));
    // The survey does not wait forever.
    std::int64_t now = 20;
    while (links.advance(nodes, now).going) now = std::max(now + 1, links.next_timer_us());
    CHECK(now < 15'000'000);
    CHECK(links.links({from, to}).front().model.delay_us >= 1'000'000);
}

namespace {

/// A stranger that dials a node and asks for a measurement of the link.
class Caller final : public HubSink {
public:
    explicit Caller(test::ClusterFixture& cluster)
        : transport_(cluster.network->make_transport()),
          hub(make_channel_hub(*transport_, cluster.clock, *this, {{}, {}, 77, 0})) {}

    bool permits(const PublicKey&) override { return true; }
    void on_link_up(PeerLinkId link, bool) override {
        (void)hub->send(link, Lane::control, {}, encode_message(ProbeHello{NodeId(next_++)}));
    }
    void on_link_interrupted(PeerLinkId) override {}
    void on_link_resumed(PeerLinkId) override {}
    void on_link_lost(PeerLinkId, const Status&) override { ++lost; }
    void on_message(PeerLinkId, Lane, PipelineEpoch, Bytes) override {}

private:
    std::unique_ptr<Transport> transport_;
    std::uint32_t next_ = 100;

public:
    std::unique_ptr<ChannelHub> hub;
    int lost = 0;
};

}  // namespace

TEST_CASE("a worker measures few links with strangers, not for long, and the head none") {
    test::ClusterFixture cluster(2, true);
    cluster.add_worker("a");
    REQUIRE(cluster.run_until_ready());
    Caller caller(cluster);
    const auto lost = [&](int count) {
        return [&caller, count] {
            caller.hub->poll(0);
            return caller.lost >= count;
        };
    };
    for (int i = 0; i < 6; ++i) REQUIRE(caller.hub->dial("inproc://a"));
    CHECK(cluster.run_until(lost(2), 1'000'000));
    CHECK_FALSE(cluster.run_until(lost(3), 1'000'000));
    CHECK(cluster.run_until(lost(6), 10'000'000));
    REQUIRE(caller.hub->dial("inproc://head"));
    CHECK(cluster.run_until(lost(7), 2'000'000));
    CHECK(cluster.head->pipeline().state() == EngineState::ready);
}

}  // namespace molink
