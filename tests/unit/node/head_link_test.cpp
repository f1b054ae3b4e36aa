// When a worker gives up its head: three deadlines, each with its own error.
#include "node/head_link.h"

#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kNoLimit = -1;

HeadLink begun(std::int64_t join_within_us, std::int64_t give_up_after_us) {
    HeadLink head("tcp://head:1", {join_within_us, give_up_after_us, 15 * kSecond, 3 * kSecond});
    head.begin(PeerLinkId(4), kSecond);
    return head;
}

HeadLink welcomed(std::int64_t give_up_after_us = kNoLimit) {
    HeadLink head = begun(10 * kSecond, give_up_after_us);
    head.on_up(2 * kSecond);
    head.on_welcome({NodeId(3), "h", 0}, 2 * kSecond);
    return head;
}

const Status kGone(StatusCode::unavailable, "it is gone");

}  // namespace

TEST_CASE("a head must welcome the node in time") {
    HeadLink head = begun(10 * kSecond, 0);
    head.on_up(2 * kSecond);  // connected, but no welcome comes
    REQUIRE(head.up());
    REQUIRE(head.check(100 * kSecond).ok());  // there is no head that could be lost
    REQUIRE_FALSE(head.exhausted(11 * kSecond - 1));
    REQUIRE(head.exhausted(11 * kSecond));
    const Status late = head.absence(11 * kSecond);
    REQUIRE(late.code() == StatusCode::unavailable);
    REQUIRE(late.message() == "no head answered at tcp://head:1 within 10 s");
}

TEST_CASE("without limits a node waits for ever") {
    HeadLink head = begun(kNoLimit, kNoLimit);
    REQUIRE_FALSE(head.exhausted(1'000'000 * kSecond));
    head.on_up(2 * kSecond);
    head.on_welcome({NodeId(3), "h", 0}, 2 * kSecond);
    head.leave(kGone, 3 * kSecond);
    REQUIRE_FALSE(head.exhausted(1'000'000 * kSecond));
}

TEST_CASE("a head whose name cannot be resolved is told as such, unless it can be by then") {
    HeadLink head("tcp://head:1", {10 * kSecond, 0, 15 * kSecond, 3 * kSecond}, "; or so");
    head.begin(PeerLinkId(4), 0);
    head.on_resolved(Status(StatusCode::not_found, "nobody knows 'head'"));
    REQUIRE(head.absence(10 * kSecond).message() ==
            "no head answered at tcp://head:1 within 10 s: nobody knows 'head'");
    head.on_resolved(Status());
    REQUIRE(head.absence(10 * kSecond).message() ==
            "no head answered at tcp://head:1 within 10 s; or so");
    head.leave(kGone, 11 * kSecond);
    head.on_resolved(Status(StatusCode::not_found, "nobody knows 'head'"));
    REQUIRE(head.absence(12 * kSecond).message() == "it is gone; nobody knows 'head'");
}

TEST_CASE("a welcomed node waits for a silent head until its limit") {
    HeadLink head = welcomed();
    REQUIRE(head.node() == NodeId(3));
    REQUIRE(head.check(17 * kSecond).ok());
    REQUIRE(head.check(18 * kSecond).message() ==
            "the head 'h' was lost: no sign of life for 16.0 s");
    head.on_heard(18 * kSecond);
    REQUIRE(head.check(30 * kSecond).ok());
}

TEST_CASE("an interrupted link to the head has a shorter limit") {
    HeadLink head = welcomed();
    head.on_interrupted(5 * kSecond);
    REQUIRE(head.check(8 * kSecond).ok());
    REQUIRE(head.check(8 * kSecond + 1).message().find("did not come back within 3.0 s") !=
            std::string::npos);
    head.on_resumed(8 * kSecond);
    REQUIRE(head.check(20 * kSecond).ok());
}

TEST_CASE("a postponed head is dialled again within the first deadline") {
    HeadLink head = begun(10 * kSecond, 0);
    head.on_up(2 * kSecond);
    REQUIRE_FALSE(head.postponed());
    head.postpone(3 * kSecond);
    head.on_interrupted(3 * kSecond);  // the link that is left behind
    REQUIRE(head.postponed());
    REQUIRE_FALSE(head.up());
    REQUIRE_FALSE(head.redial_due(3 * kSecond));
    REQUIRE(head.redial_due(4 * kSecond));
    head.on_up(4 * kSecond);  // the link that is left behind
    head.begin(PeerLinkId(5), 4 * kSecond);
    REQUIRE_FALSE(head.up());
    REQUIRE(head.link() == PeerLinkId(5));
    REQUIRE_FALSE(head.postponed());
    REQUIRE_FALSE(head.exhausted(11 * kSecond - 1));
    REQUIRE(head.exhausted(11 * kSecond));
    head.on_up(5 * kSecond);
    head.on_welcome({NodeId(3), "h", 0}, 5 * kSecond);
    REQUIRE(head.check(20 * kSecond).ok());
    REQUIRE_FALSE(head.exhausted(20 * kSecond));
}

TEST_CASE("a head that is gone is dialled again, and given up after its own limit") {
    HeadLink head = welcomed(5 * kSecond);
    head.leave(kGone, 20 * kSecond);
    REQUIRE_FALSE(head.welcomed());
    REQUIRE_FALSE(head.up());
    REQUIRE_FALSE(head.redial_due(21 * kSecond - 1));
    REQUIRE(head.redial_due(21 * kSecond));
    head.begin(PeerLinkId(6), 21 * kSecond);
    REQUIRE_FALSE(head.exhausted(25 * kSecond - 1));
    REQUIRE(head.exhausted(25 * kSecond));
    REQUIRE(head.absence(25 * kSecond).message() == "it is gone");
    REQUIRE(welcomed(0).exhausted(100 * kSecond) == false);
}

TEST_CASE("a head that turns a node away again and again is dialled less often") {
    HeadLink head = begun(kNoLimit, kNoLimit);
    std::int64_t now = 2 * kSecond;
    for (const std::int64_t pause_s : {1, 2, 4, 8, 16, 30, 30}) {
        head.leave(kGone, now);
        REQUIRE_FALSE(head.redial_due(now + pause_s * kSecond - 1));
        now += pause_s * kSecond;
        REQUIRE(head.redial_due(now));
        head.begin(PeerLinkId(7), now);
    }
    head.on_up(now);
    head.on_welcome({NodeId(3), "h", 0}, now);
    now += kSecond;
    head.leave(kGone, now);  // it kept the node for a second only
    REQUIRE_FALSE(head.redial_due(now + 30 * kSecond - 1));
    now += 30 * kSecond;
    head.begin(PeerLinkId(8), now);
    head.on_welcome({NodeId(3), "h", 0}, now);
    head.leave(kGone, now + 30 * kSecond);
    REQUIRE(head.redial_due(now + 31 * kSecond));
}
