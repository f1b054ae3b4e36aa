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
    made.memory_domain = domain;
    made.memory_bytes = memory_bytes;
    return made;
}

/// A head with 100 bytes of memory in domain "a", and the workers that a test adds.
struct Scene {
    Scene() {
        NodeIdentity head;
        head.name = "head";
        head.memory_domain = "a";
        head.memory_bytes = 100;
        membership.add_head(head);
    }
    NodeId join(std::uint64_t link, const Hello& words, std::int64_t now_us = 0) {
        membership.add_stranger(PeerLinkId(link), now_us);
        Member member = membership.introduce(words, now_us);
        const NodeId id = member.info.id;
        membership.add(PeerLinkId(link), std::move(member));
        return id;
    }
    std::int64_t share(NodeId node) { return membership.memory_share(*membership.find(node)); }

    Membership membership{{15 * kSecond, 3 * kSecond}};
};

}  // namespace

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
    own.memory_own = true;
    const NodeId alone = scene.join(3, own);
    REQUIRE(scene.share(kHeadNode) == 40);  // half of the 80 that both can use
    REQUIRE(scene.share(beside) == 40);
    REQUIRE(scene.share(elsewhere) == 70);
    REQUIRE(scene.share(alone) == 60);
    REQUIRE(scene.membership.infos()[1].memory_bytes == 40);
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
