// Hubs over real transports: large amounts of data, and a peer that does not come back.
#include "base/random.h"
#include "support/catch.h"
#include "unit/channel/sim_network.h"

using namespace molink;
using namespace molink::test;

namespace {

struct Host {
    Host(std::unique_ptr<Transport> t, std::uint64_t seed)
        : transport(std::move(t)), sink(steady_clock()) {
        HubOptions options;
        options.seed = seed;
        hub = make_channel_hub(*transport, steady_clock(), sink, options);
        sink.hub = hub.get();
    }
    std::unique_ptr<Transport> transport;
    RecordingSink sink;
    std::unique_ptr<ChannelHub> hub;
};

template <typename Done>
bool poll_until(const std::vector<Host*>& hosts, Done done) {
    for (int i = 0; i < 1'000'000; ++i) {
        if (done()) return true;
        std::size_t events = 0;
        for (Host* host : hosts) events += host->hub->poll(0);
        if (events == 0) hosts[0]->hub->poll(1000);
    }
    return false;
}

std::unique_ptr<Transport> zmq() {
    ZmqTransportOptions options;
    options.reconnect_us = 5'000;
    return make_zmq_transport(options).value();
}

void exchange(Host& a, Host& b, const std::string& address) {
    constexpr std::size_t kMessageBytes = 10'000'000;
    constexpr std::size_t kMessages = 10;
    const PeerLinkId forth = a.hub->dial(b.transport->listen(address).value()).value();
    REQUIRE(poll_until({&a, &b}, [&] { return !a.sink.up.empty() && !b.sink.up.empty(); }));
    Bytes sent(kMessageBytes);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::byte>(mix64(i));
    for (std::size_t i = 0; i < kMessages; ++i) {
        REQUIRE(a.hub->send(forth, Lane::prefill, epoch_of(1), sent).ok());
        REQUIRE(b.hub->send(b.sink.up[0], Lane::bulk, epoch_of(1), sent).ok());
    }
    REQUIRE(a.hub->send(forth, Lane::decode, epoch_of(1), Bytes(3000)).ok());
    REQUIRE(poll_until({&a, &b}, [&] {
        return b.sink.messages.size() == kMessages + 1 && a.sink.messages.size() == kMessages;
    }));
    CHECK(b.sink.messages[0].lane == Lane::decode);  // it overtook the prefill messages
    for (std::size_t i = 0; i < kMessages; ++i) {
        CHECK((a.sink.messages[i].bytes == sent));
        CHECK((b.sink.messages[i + 1].bytes == sent));
    }
    CHECK(a.hub->stats(forth).resent_bytes == 0);
    CHECK(a.sink.lost.empty());
    CHECK(b.sink.lost.empty());
}

}  // namespace

TEST_CASE("200 MB over ZeroMQ", "[channel]") {
    Host a(zmq(), 1);
    Host b(zmq(), 2);
    exchange(a, b, "tcp://127.0.0.1:*");
}

TEST_CASE("200 MB inside one process", "[channel]") {
    const auto network = make_inproc_hub();
    Host a(network->make_transport(), 1);
    Host b(network->make_transport(), 2);
    exchange(a, b, "inproc://b");
}

TEST_CASE("over ZeroMQ, a link is lost when the peer comes back as another process", "[channel]") {
    Host a(zmq(), 1);
    auto b = std::make_unique<Host>(zmq(), 2);
    const std::string address = b->transport->listen("tcp://127.0.0.1:*").value();
    const PeerLinkId link = a.hub->dial(address).value();
    REQUIRE(poll_until({&a, b.get()}, [&] { return !a.sink.up.empty(); }));
    b.reset();
    REQUIRE(poll_until({&a}, [&] { return a.sink.interrupted == 1; }));
    REQUIRE(a.hub->send(link, Lane::decode, epoch_of(1), Bytes(10)).ok());  // waits for the peer
    Host again(zmq(), 3);
    REQUIRE(again.transport->listen(address).has_value());
    REQUIRE(poll_until({&a, &again}, [&] { return !a.sink.lost.empty(); }));
    CHECK(a.sink.resumed == 0);
    CHECK(again.sink.messages.empty());
}
