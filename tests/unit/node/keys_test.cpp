// Keys in whole clusters on a simulated network: who joins, who is believed, who is cut off.
#include <algorithm>

#include "sim/sim_cluster.h"
#include "support/catch.h"
#include "wire/messages.h"

namespace molink {
namespace {

using sim::sim_key;

constexpr std::int64_t kMs = 1'000;
constexpr std::int64_t kSecond = 1'000'000;

class KeyedScene final : public RequestEventSink {
public:
    explicit KeyedScene(std::int32_t nodes) : cluster(scenario(nodes), policies_, *this) {}

    template <typename Done>
    bool run(Done done, std::int64_t limit_us = 30 * kSecond) {
        const std::int64_t end = cluster.clock.now + limit_us;
        while (!done()) {
            const std::int64_t next = cluster.next_event_us();
            if (next > end) return false;
            cluster.clock.now = std::max(cluster.clock.now, next);
            cluster.step();
        }
        return true;
    }
    bool serve() {
        return run([&] { return cluster.head().pipeline().state() == EngineState::ready; });
    }
    bool is_member(const std::string& name) {
        const ClusterView view = cluster.head().view();
        return std::any_of(view.nodes.begin(), view.nodes.end(),
                           [&](const NodeInfo& node) { return node.name == name; });
    }
    void on_request_event(RequestEvent) override {}

private:
    const SimScenario& scenario(std::int32_t nodes) {
        scenario_.keys = true;
        scenario_.nodes = {SimNode{"head"}};
        for (std::int32_t i = 1; i < nodes; ++i) {
            scenario_.nodes.push_back(SimNode{"w" + std::to_string(i)});
        }
        scenario_.layers = nodes;
        scenario_.link = {12.5e6, 5 * kMs, 0};
        return scenario_;
    }

    SimScenario scenario_;
    SimPolicies policies_;

public:
    sim::SimCluster cluster;
};

/// A peer with a transport of its own, which dials a node and sends what a test tells it to.
class Impostor final : public HubSink {
public:
    Impostor(KeyedScene& scene, const std::string& host)
        : scene_(scene), transport_(scene.cluster.network, host) {
        transport_.key = sim_key(host);
        hub_ = make_channel_hub(transport_, scene.cluster.clock, *this, {{}, {}, 99, 0});
    }
    void say(const std::string& node, const Message& message) {
        words_ = encode_message(message);
        REQUIRE(hub_->dial({"inproc://" + node, sim_key(node)}));
    }
    /// Runs the cluster and this peer for a while.
    void run(std::int64_t span_us) {
        const std::int64_t end = scene_.cluster.clock.now + span_us;
        (void)scene_.run([&] {
            hub_->poll(0);
            return scene_.cluster.clock.now >= end;
        });
    }
    bool permits(const PublicKey&) override { return true; }
    void on_link_up(PeerLinkId link, bool) override {
        up = true;
        (void)hub_->send(link, Lane::control, {}, Bytes(words_));
    }
    void on_link_interrupted(PeerLinkId) override {}
    void on_link_resumed(PeerLinkId) override {}
    void on_link_lost(PeerLinkId, const Status&) override { lost = true; }
    void on_message(PeerLinkId, Lane, PipelineEpoch, Bytes) override { ++heard; }

    bool up = false;
    bool lost = false;
    int heard = 0;

private:
    KeyedScene& scene_;
    sim::SimTransport transport_;
    std::unique_ptr<ChannelHub> hub_;
    Bytes words_;
};

Hello hello_as(const std::string& name) {
    Hello hello;
    hello.node_name = name;
    hello.advertise = "inproc://" + name;
    return hello;
}

}  // namespace

TEST_CASE("nodes with keys that the head knows serve, and measure their links") {
    KeyedScene scene(4);
    REQUIRE(scene.serve());
    const auto& links = scene.cluster.head().pipeline().partition().input.links;
    CHECK(links.size() == 12);
    for (const PartitionLink& link : links) CHECK(link.model.delay_us > 4 * kMs);
}

TEST_CASE("a key that the head does not know never gets a link") {
    KeyedScene scene(3);
    scene.cluster.access().set(sim_key("w2"), Access::none);
    CHECK_FALSE(scene.serve());
    CHECK_FALSE(scene.is_member("w2"));
    CHECK(scene.is_member("w1"));
    scene.cluster.access().set(sim_key("w2"), Access::member);
    REQUIRE(scene.serve());
}

TEST_CASE("a join token introduces the key of a worker, once") {
    KeyedScene scene(3);
    const KeyPair pass = make_key_pair();
    scene.cluster.access().set(pass.public_key, Access::token);
    scene.cluster.access().set(sim_key("w2"), Access::none);
    scene.cluster.stop_worker("w2", false);
    scene.cluster.start_worker("w2", "w2", pass);
    REQUIRE(scene.serve());
    CHECK(scene.cluster.access().access(sim_key("w2")) == Access::member);
    CHECK(scene.cluster.access().access(pass.public_key) == Access::none);
}

TEST_CASE("a worker whose key is known joins although its token is used up") {
    KeyedScene scene(3);  // as when the head's answer to the introduction was lost
    scene.cluster.stop_worker("w2", false);
    scene.cluster.start_worker("w2", "w2", make_key_pair());
    REQUIRE(scene.serve());
}

TEST_CASE("a used token opens nothing") {
    KeyedScene scene(3);
    const KeyPair pass = make_key_pair();
    scene.cluster.access().set(sim_key("w2"), Access::none);
    scene.cluster.stop_worker("w2", false);
    scene.cluster.start_worker("w2", "w2", pass);
    CHECK_FALSE(scene.serve());
    CHECK_FALSE(scene.is_member("w2"));
}

TEST_CASE("the holder of a token can do nothing but introduce a key") {
    KeyedScene scene(2);
    REQUIRE(scene.serve());
    scene.cluster.access().set(sim_key("thief"), Access::token);
    Impostor thief(scene, "thief");
    thief.say("head", Message(hello_as("w9")));
    thief.run(3 * kSecond);
    CHECK(thief.up);
    CHECK(thief.lost);
    CHECK(thief.heard == 0);
    CHECK_FALSE(scene.is_member("w9"));
}

TEST_CASE("a revoked key loses its link within a second") {
    KeyedScene scene(3);
    REQUIRE(scene.serve());
    const std::int64_t begin = scene.cluster.clock.now;
    scene.cluster.access().set(sim_key("w1"), Access::none);
    REQUIRE(scene.run([&] { return !scene.is_member("w1"); }));
    CHECK(scene.cluster.clock.now - begin < kSecond);
    CHECK(scene.cluster.head().view().last_error.find("its key was revoked") != std::string::npos);
    CHECK(scene.run([&] { return !scene.cluster.worker("w1").view().welcomed; }));
    // It may be allowed again later, and dials for ever.
    scene.cluster.access().set(sim_key("w1"), Access::member);
    CHECK(scene.run([&] { return scene.is_member("w1"); }));
}

TEST_CASE("a worker that is restarted on another address keeps its place by its key") {
    KeyedScene scene(2);
    REQUIRE(scene.serve());
    scene.cluster.stop_worker("w1", true);  // the head does not notice
    Impostor successor(scene, "elsewhere");
    scene.cluster.access().set(sim_key("elsewhere"), Access::none);
    scene.cluster.start_worker("w1");
    const std::int64_t begin = scene.cluster.clock.now;
    REQUIRE(
        scene.run([&] { return scene.cluster.head().pipeline().state() != EngineState::ready; }));
    CHECK(scene.cluster.clock.now - begin < 2 * kSecond);
    CHECK(scene.cluster.head().view().last_error.find("a process with its key joined") !=
          std::string::npos);
    REQUIRE(scene.serve());
}

TEST_CASE("of two workers with one key the first one ends, and they do not take turns") {
    KeyedScene scene(3);
    REQUIRE(scene.serve());
    scene.cluster.stop_worker("w2", false);
    scene.cluster.start_worker("w2", "w1", std::nullopt);
    REQUIRE(scene.run([&] { return scene.cluster.worker("w1").over(); }));
    CHECK(scene.cluster.worker("w1").outcome().message().find("a process with its key joined") !=
          std::string::npos);
    CHECK(scene.is_member("w2"));
}

TEST_CASE("a member cannot take the address of another one that is there") {
    KeyedScene scene(3);
    REQUIRE(scene.serve());
    scene.cluster.access().set(sim_key("rival"), Access::member);
    Impostor rival(scene, "rival");
    Hello hello = make_hello(scene.cluster.head().identity(), "inproc://w1");
    hello.node_name = "rival";
    rival.say("head", Message(hello));
    rival.run(2 * kSecond);
    CHECK(rival.heard > 0);  // it is told
    CHECK(scene.is_member("w1"));
    CHECK_FALSE(scene.is_member("rival"));
    CHECK(scene.cluster.head().pipeline().state() == EngineState::ready);
}

TEST_CASE("a worker is not dialled by keys that the head did not name") {
    KeyedScene scene(3);
    REQUIRE(scene.serve());
    scene.cluster.access().set(sim_key("spy"), Access::member);  // of the head, not of workers
    Impostor spy(scene, "spy");
    const PipelineEpoch epoch = scene.cluster.head().pipeline().epoch();
    spy.say("w2", Message(PeerHello{epoch, NodeId(1), 1}));
    spy.run(3 * kSecond);
    CHECK_FALSE(spy.up);
    CHECK(scene.cluster.head().pipeline().state() == EngineState::ready);
}

TEST_CASE("a stage is only believed from the key of its node") {
    KeyedScene scene(4);
    REQUIRE(scene.serve());
    // A worker of the ring claims to be the stage before another worker's.
    const PipelineEpoch epoch = scene.cluster.head().pipeline().epoch();
    scene.cluster.stop_worker("w3", true);
    Impostor liar(scene, "w3");
    liar.say("w2", Message(PeerHello{epoch, NodeId(1), 1}));
    liar.run(2 * kSecond);
    CHECK(liar.up);
    CHECK(liar.lost);
    CHECK(liar.heard == 0);
}

}  // namespace molink
