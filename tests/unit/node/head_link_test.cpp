// When a worker gives up its head: three deadlines, each with its own error.
#include "node/head_link.h"

#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::int64_t kSecond = 1'000'000;

HeadLink begun() {
    HeadLink head("tcp://head:1", {10 * kSecond, 15 * kSecond, 3 * kSecond});
    head.begin(PeerLinkId(4), kSecond);
    return head;
}

HeadLink welcomed() {
    HeadLink head = begun();
    head.on_up(2 * kSecond);
    head.on_welcome({NodeId(3), "h", 0});
    return head;
}

}  // namespace

TEST_CASE("a head must welcome the node in time") {
    HeadLink head = begun();
    head.on_up(2 * kSecond);  // connected, but no welcome comes
    REQUIRE(head.up());
    REQUIRE(head.check(11 * kSecond).ok());
    const Status late = head.check(11 * kSecond + 1);
    REQUIRE(late.code() == StatusCode::unavailable);
    REQUIRE(late.message() == "no head answered at tcp://head:1 within 10 s");
}

TEST_CASE("a head whose name cannot be resolved is told as such, unless it can be by then") {
    HeadLink head("tcp://head:1", {10 * kSecond, 15 * kSecond, 3 * kSecond}, "; or so");
    head.begin(PeerLinkId(4), 0);
    head.on_resolved(Status(StatusCode::not_found, "nobody knows 'head'"));
    REQUIRE(head.check(11 * kSecond).message() ==
            "no head answered at tcp://head:1 within 10 s: nobody knows 'head'");
    head.on_resolved(Status());
    REQUIRE(head.check(11 * kSecond).message() ==
            "no head answered at tcp://head:1 within 10 s; or so");
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

TEST_CASE("a head that is dialled again starts anew, within the first deadline") {
    HeadLink head = begun();
    head.on_up(2 * kSecond);
    REQUIRE_FALSE(head.postponed());
    head.postpone(3 * kSecond);
    head.on_interrupted(3 * kSecond);  // the link that is left behind
    REQUIRE(head.postponed());
    REQUIRE_FALSE(head.up());
    REQUIRE_FALSE(head.redial_due(3 * kSecond));
    REQUIRE(head.redial_due(4 * kSecond));
    head.begin(PeerLinkId(5), 4 * kSecond);
    REQUIRE(head.link() == PeerLinkId(5));
    REQUIRE_FALSE(head.postponed());
    REQUIRE(head.check(11 * kSecond).ok());
    REQUIRE_FALSE(head.check(11 * kSecond + 1).ok());
    head.on_up(5 * kSecond);
    head.on_welcome({NodeId(3), "h", 0});
    REQUIRE(head.check(20 * kSecond).ok());
}
