// Bounds on connections of peers that have not proved who they are.
#include "transport/untrusted_peers.h"
#include <string>

#include "base/limits.h"
#include "support/catch.h"

using namespace molink;

namespace {

UntrustedPeers::Socket socket_of(int descriptor) {
    return {descriptor, static_cast<std::uint64_t>(descriptor) + 1000};
}

}  // namespace

TEST_CASE("a source has so many untrusted connections, and the oldest makes place") {
    UntrustedPeers peers;
    const int most = static_cast<int>(limits::kMaxUntrustedPerSource);
    for (int i = 0; i < most; ++i) CHECK_FALSE(peers.add(socket_of(i), "a", i));
    CHECK(peers.add(socket_of(most), "a", most) == socket_of(0));
    peers.trust(socket_of(1));
    CHECK_FALSE(peers.add(socket_of(most + 1), "a", most + 1));
    CHECK(peers.add(socket_of(most + 2), "a", most + 2) == socket_of(2));
    CHECK_FALSE(peers.add(socket_of(most + 3), "b", most + 3));
    CHECK(peers.size() == limits::kMaxUntrustedPerSource + 1);
}

TEST_CASE("in all, the source that has most makes place") {
    UntrustedPeers peers;
    int next = 0;
    const auto fill = [&](const std::string& source, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i, ++next) {
            REQUIRE_FALSE(peers.add(socket_of(next), source, next));
        }
    };
    fill("honest", 2);
    const std::size_t each = limits::kMaxUntrustedPerSource;
    for (const char* source : {"a", "b", "c"}) fill(source, each);
    fill("d", limits::kMaxUntrusted - 3 * each - 2);
    CHECK(peers.size() == limits::kMaxUntrusted);
    CHECK(peers.add(socket_of(next), "honest", next) == socket_of(2));
}

TEST_CASE("many sources with one connection do not outlast a peer with two") {
    UntrustedPeers peers;
    int next = 0;
    for (; next < static_cast<int>(limits::kMaxUntrusted); ++next) {
        REQUIRE_FALSE(peers.add(socket_of(next), "s" + std::to_string(next), next));
    }
    CHECK(peers.add(socket_of(next++), "a", next) == socket_of(0));
    CHECK(peers.add(socket_of(next++), "a", next) == socket_of(1));
    CHECK(peers.add(socket_of(next++), "z", next) == socket_of(2));
}

TEST_CASE("untrusted connections expire, and a descriptor may be used again") {
    UntrustedPeers peers;
    CHECK_FALSE(peers.add(socket_of(5), "a", 0));
    CHECK_FALSE(peers.add({5, 77}, "b", 50));  // its end was not told
    CHECK(peers.size() == 1);
    CHECK_FALSE(peers.add(socket_of(6), "a", 60));
    CHECK(peers.expire(100, 100).empty());
    const auto late = peers.expire(151, 100);
    REQUIRE(late.size() == 1);
    CHECK(late.front() == UntrustedPeers::Socket{5, 77});
    peers.remove(6);
    CHECK(peers.size() == 0);
    CHECK(peers.expire(1'000'000, 0).empty());
}

TEST_CASE("late news of a trusted connection do not make it untrusted") {
    UntrustedPeers peers;
    peers.trust(socket_of(7));
    CHECK_FALSE(peers.add(socket_of(7), "a", 0));
    CHECK(peers.size() == 0);
    peers.remove(7);  // closed; the next one with this descriptor is another
    CHECK_FALSE(peers.add(socket_of(7), "a", 0));
    CHECK(peers.size() == 1);
}
