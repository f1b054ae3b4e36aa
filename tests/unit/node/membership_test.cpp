// Membership: links of strangers, members and dismissed peers, shares of memory, and deadlines.
#include "node/membership.h"

#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::int64_t kSecond = 1'000'000;

Hello hello(const std::string& name, const std::string& domain, std::uint64_t memory_bytes) {
    Hello made;
    made.node_name = name;
    made.advertise = "tcp://" + name;
    NodeDevice device;
    device.name = "cpu:0";
    device.memory_domain = domain;
    device.memory_bytes = memory_bytes;
    made.devices = {device};
    return made;
}

/// A head with 100 bytes of memory in domain "a", and the workers that a test adds.
struct Scene {
    Scene() {
        NodeIdentity head;
        head.name = "head";
        head.devices = hello("head", "a", 100).devices;
        membership.add_head(head, {});
    }
    NodeId join(std::uint64_t link, const Hello& words, std::int64_t now_us = 0) {
        membership.add_stranger(PeerLinkId(link), now_us);
        std::vector<Member> nodes = membership.introduce(words, now_us);
        const NodeId id = nodes.front().info.id;
        membership.add(PeerLinkId(link), std::move(nodes), {});
        return id;
    }
    std::int64_t share(NodeId node) { return membership.memory_share(*membership.find(node)); }

    Membership membership{{15 * kSecond, 3 * kSecond}};
};

}  // namespace

TEST_CASE("groups of one machine divide its cores, whoever has the memory") {
    const auto domain = [](const std::string& host, const std::string& memory) {
        Member member;
        member.info.host_id = host;
        member.device.memory_domain = memory;
        return member.cores_domain();
    };
    REQUIRE(domain("5f1c", "5f1c") == "5f1c");
    REQUIRE(domain("5f1c", "5f1c/7154") == "5f1c");
    REQUIRE(domain("5f1c", "gpu-2") == "gpu-2");
    REQUIRE(domain("", "5f1c") == "5f1c");
}

TEST_CASE("a link belongs to a stranger or a member, or is dismissed") {
    Scene scene;
    Membership& membership = scene.membership;
    membership.add_stranger(PeerLinkId(5), 0);
    REQUIRE(membership.is_stranger(PeerLinkId(5)));
    const NodeId node = scene.join(5, hello("w", "b", 50));
    REQUIRE_FALSE(membership.is_stranger(PeerLinkId(5)));
    REQUIRE(membership.find_by_link(PeerLinkId(5))->info.id == node);
    REQUIRE(membership.find_by_address("tcp://w")->info.id == node);
    membership.dismiss(PeerLinkId(5), 10);
    membership.remove(node);
    REQUIRE(membership.find_by_link(PeerLinkId(5)) == nullptr);
    REQUIRE(membership.find(node) == nullptr);
    REQUIRE(membership.is_dismissed(PeerLinkId(5)));
    REQUIRE(membership.release_dismissed(9, [](PeerLinkId) { return false; }).empty());
    REQUIRE(membership.release_dismissed(10, [](PeerLinkId) { return false; }).size() == 1);
    REQUIRE_FALSE(membership.is_dismissed(PeerLinkId(5)));
}

TEST_CASE("an id is never used again") {
    Scene scene;
    const NodeId first = scene.join(1, hello("w", "b", 50));
    scene.membership.dismiss(PeerLinkId(1), 0);
    scene.membership.remove(first);
    const NodeId second = scene.join(2, hello("w", "b", 50));
    REQUIRE(second != first);
    REQUIRE(scene.membership.workers() == std::vector<NodeId>{second});
}

TEST_CASE("nodes of one memory domain share its memory") {
    Scene scene;
    const NodeId beside = scene.join(1, hello("beside", "a", 80));
    const NodeId elsewhere = scene.join(2, hello("elsewhere", "b", 70));
    Hello own = hello("own", "a", 60);
    own.devices[0].memory_own = true;
    const NodeId alone = scene.join(3, own);
    REQUIRE(scene.share(kHeadNode) == 40);  // half of the 80 that both can use
    REQUIRE(scene.share(beside) == 40);
    REQUIRE(scene.share(elsewhere) == 70);
    REQUIRE(scene.share(alone) == 60);
    REQUIRE(scene.membership.infos()[1].memory_bytes == 40);
}

TEST_CASE("the devices of a process are nodes with one fate") {
    Scene scene;
    Membership& membership = scene.membership;
    Hello words = hello("box", "b", 60);
    words.devices[0].name = "gpu:0";
    words.devices.push_back(hello("", "b", 50).devices[0]);
    words.devices[1].name = "gpu:1";
    const NodeId first = scene.join(1, words);
    const NodeId second(first.value + 1);
    const NodeId other = scene.join(2, hello("other", "c", 10));
    REQUIRE(other == NodeId(first.value + 2));
    REQUIRE(membership.find(first)->info.name == "box/gpu:0");
    REQUIRE(membership.find(second)->info.name == "box/gpu:1");
    REQUIRE(membership.find(second)->info.address == "tcp://box");
    REQUIRE(membership.find(other)->info.name == "other");
    REQUIRE(scene.share(first) == 25);  // of the 50 that both can see
    REQUIRE(membership.workers() == std::vector<NodeId>{first, other});
    REQUIRE(membership.same_process(first, second));
    REQUIRE_FALSE(membership.same_process(second, other));
    REQUIRE(membership.processes({{second, kHeadNode, first, other}}) ==
            std::vector<NodeId>{first, kHeadNode, other});
    REQUIRE(membership.on_interrupted(PeerLinkId(1), kSecond)->info.id == first);
    REQUIRE(membership.find(second)->info.state == NodeState::stalled);
    membership.on_resumed(PeerLinkId(1), kSecond);
    const auto losses = membership.overdue(17 * kSecond);
    REQUIRE(losses.size() == 2);  // one for each process
    REQUIRE(losses[0].node == first);
    membership.dismiss(PeerLinkId(1), 0);
    membership.remove(second);
    REQUIRE(membership.find(first) == nullptr);
    REQUIRE(membership.find(second) == nullptr);
    REQUIRE(membership.find(other) != nullptr);
}

TEST_CASE("a process reports the links of its own stages only") {
    Scene scene;
    Membership& membership = scene.membership;
    const NodeId node = scene.join(1, hello("a", "b", 60));
    const NodeId other = scene.join(2, hello("b", "c", 60));
    StageLinkReport report;
    const auto node_of = [&](const StageLinkReport& of) -> std::optional<NodeId> {
        if (of.stage_index > 1) return std::nullopt;
        return of.stage_index == 0 ? node : other;
    };
    std::vector<StageLinkReport> reports(3);
    for (std::uint32_t i = 0; i < 3; ++i) reports[i].stage_index = i;
    membership.set_reports(node, reports, node_of);
    REQUIRE(membership.find(node)->next_link);
    REQUIRE_FALSE(membership.find(other)->next_link);
    membership.set_reports(node, {}, node_of);
    REQUIRE_FALSE(membership.find(node)->next_link);
}

TEST_CASE("a silent node is stalled before it is lost") {
    Scene scene;
    Membership& membership = scene.membership;
    const NodeId node = scene.join(1, hello("w", "b", 50));
    REQUIRE_FALSE(membership.note_silence(2 * kSecond));
    REQUIRE(membership.note_silence(4 * kSecond));
    REQUIRE(membership.find(node)->info.state == NodeState::stalled);
    REQUIRE_FALSE(membership.note_silence(5 * kSecond));
    REQUIRE(membership.overdue(15 * kSecond).empty());
    membership.on_heard(PeerLinkId(1), 15 * kSecond);
    REQUIRE(membership.note_silence(15 * kSecond));
    REQUIRE(membership.find(node)->info.state == NodeState::joined);
    const auto losses = membership.overdue(31 * kSecond);
    REQUIRE(losses.size() == 1);
    REQUIRE(losses[0].reason == "no sign of life for 16.0 s (limit 15.0 s)");
}

TEST_CASE("a node whose link is not resumed in time is lost") {
    Scene scene;
    Membership& membership = scene.membership;
    const NodeId node = scene.join(1, hello("w", "b", 50));
    REQUIRE(membership.on_interrupted(PeerLinkId(2), kSecond) == nullptr);
    REQUIRE(membership.on_interrupted(PeerLinkId(1), kSecond)->info.id == node);
    REQUIRE(membership.find(node)->info.state == NodeState::stalled);
    REQUIRE(membership.overdue(4 * kSecond).empty());
    REQUIRE(membership.overdue(4 * kSecond + 1).size() == 1);
    membership.on_resumed(PeerLinkId(1), 4 * kSecond);
    REQUIRE(membership.overdue(5 * kSecond).empty());
    REQUIRE(membership.find(node)->info.state == NodeState::joined);
}

TEST_CASE("strangers must say hello in time") {
    Scene scene;
    scene.membership.add_stranger(PeerLinkId(1), 0);
    scene.membership.add_stranger(PeerLinkId(2), 0);
    scene.membership.forget_link(PeerLinkId(2));  // it is used for a measurement
    REQUIRE(scene.membership.late_strangers(kSecond).empty());
    REQUIRE(scene.membership.late_strangers(100 * kSecond) ==
            std::vector<PeerLinkId>{PeerLinkId(1)});
}

TEST_CASE("a node has the minor version of the protocol that its process said") {
    Scene scene;
    Hello words = hello("w", "b", 50);
    words.protocol_minor = 0;
    const NodeId old = scene.join(5, words);
    CHECK(scene.membership.find(old)->protocol_minor == 0);
    CHECK(scene.membership.find(kHeadNode)->protocol_minor == kProtocolMinor);
}
