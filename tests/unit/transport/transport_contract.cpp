// The transport contract: checks what the channel relies on, for any implementation.
#include "unit/transport/transport_contract.h"

#include <thread>

namespace molink::test {
namespace {

Frame numbered(std::size_t size, std::size_t number) {
    Frame frame(size);
    for (std::size_t i = 0; i < size; ++i) frame[i] = static_cast<std::byte>(number * 31 + i);
    return frame;
}

void check_echo_and_order(const TransportUnderTest& subject) {
    Peer server(subject.make());
    Peer client(subject.make());
    server.echo = true;
    const std::string address = server.transport->listen(subject.address).value();
    const ConnectionId id = client.transport->connect(address).value();
    REQUIRE(poll_until({&server, &client}, [&] { return !client.up.empty(); }));
    CHECK(client.up[0] == id);
    const std::size_t sizes[] = {1, 2, 63, 4096, subject.largest_frame};
    std::vector<Frame> sent;
    for (std::size_t i = 0; i < 300; ++i) {
        sent.push_back(numbered(sizes[i % 5], i));
        Frame frame = sent.back();
        const bool taken = poll_until({&server, &client}, [&] {
            return client.transport->send(id, std::move(frame)) == SendOutcome::accepted;
        });
        REQUIRE(taken);
        // Wait now and then: the echo has no queue, so it must never find the connection full.
        if (i % 8 == 7) {
            REQUIRE(poll_until({&server, &client},
                               [&] { return client.frames[id].size() == sent.size(); }));
        }
    }
    REQUIRE(poll_until({&server, &client}, [&] { return client.frames[id].size() == 300; }));
    CHECK((client.frames[id] == sent));
    CHECK(server.up.size() == 1);
    CHECK(client.down.empty());
}

void check_dial_before_listen(const TransportUnderTest& subject) {
    Peer client(subject.make());
    const ConnectionId id = client.transport->connect(subject.late_address).value();
    CHECK(client.transport->send(id, Frame(1)) == SendOutcome::closed);
    client.transport->poll(1000, client);
    CHECK(client.up.empty());
    {
        Peer server(subject.make());
        REQUIRE(server.transport->listen(subject.late_address).has_value());
        REQUIRE(poll_until({&server, &client}, [&] { return client.up.size() == 1; }));
        REQUIRE(client.transport->send(id, Frame(5)) == SendOutcome::accepted);
        REQUIRE(poll_until({&server, &client}, [&] { return !server.frames.empty(); }));
    }
    REQUIRE(poll_until({&client}, [&] { return client.down.size() == 1; }));
    CHECK(client.transport->send(id, Frame(1)) == SendOutcome::closed);
    Peer again(subject.make());
    REQUIRE(again.transport->listen(subject.late_address).has_value());
    REQUIRE(poll_until({&again, &client}, [&] { return client.up.size() == 2; }));
    CHECK(client.up[1] == id);
    REQUIRE(client.transport->send(id, Frame(6)) == SendOutcome::accepted);
    REQUIRE(poll_until({&again, &client}, [&] { return !again.frames.empty(); }));
    CHECK(again.frames.begin()->second[0].size() == 6);
}

void check_full(const TransportUnderTest& subject) {
    Peer server(subject.make());
    Peer client(subject.make());
    const std::string address = server.transport->listen(subject.address).value();
    const ConnectionId id = client.transport->connect(address).value();
    const ConnectionId other = client.transport->connect(address).value();
    REQUIRE(poll_until({&server, &client}, [&] { return client.up.size() == 2; }));
    // The server does not poll, so that this connection, and no other, becomes full at some point.
    std::size_t sent = 0;
    SendOutcome outcome = SendOutcome::accepted;
    while (outcome == SendOutcome::accepted && sent < 1'000'000) {
        outcome = client.transport->send(id, numbered(subject.largest_frame, sent));
        if (outcome == SendOutcome::accepted) ++sent;
    }
    REQUIRE(outcome == SendOutcome::full);
    CHECK(client.transport->send(other, Frame(3)) == SendOutcome::accepted);
    // A frame that is not accepted is not moved from, and accepted frames are not lost.
    Frame kept(10);
    while (client.transport->send(id, std::move(kept)) == SendOutcome::accepted) {
        ++sent;
        kept = Frame(10);
    }
    CHECK(kept.size() == 10);
    const auto received = [&] {
        std::size_t count = 0;
        for (const auto& [connection, frames] : server.frames) count += frames.size();
        return count;
    };
    REQUIRE(poll_until({&server, &client}, [&] { return received() == sent + 1; }));
    CHECK(client.transport->send(id, Frame(1)) == SendOutcome::accepted);
}

void check_close(const TransportUnderTest& subject) {
    Peer server(subject.make());
    Peer client(subject.make());
    server.echo = true;
    const std::string address = server.transport->listen(subject.address).value();
    const ConnectionId id = client.transport->connect(address).value();
    const ConnectionId other = client.transport->connect(address).value();
    REQUIRE(poll_until({&server, &client}, [&] { return client.up.size() == 2; }));
    client.transport->close(id);
    CHECK(client.transport->send(id, Frame(1)) == SendOutcome::closed);
    client.transport->close(id);
    client.transport->close(ConnectionId(12345));
    CHECK(client.transport->send(ConnectionId(12345), Frame(1)) == SendOutcome::closed);
    REQUIRE(client.transport->send(other, Frame(4)) == SendOutcome::accepted);
    REQUIRE(poll_until({&server, &client}, [&] { return !client.frames[other].empty(); }));
    CHECK(client.down.empty());
}

void check_many(const TransportUnderTest& subject) {
    Peer server(subject.make());
    Peer client(subject.make());
    server.echo = true;
    const std::string address = server.transport->listen(subject.address).value();
    std::vector<ConnectionId> ids;
    for (int i = 0; i < 40; ++i) ids.push_back(client.transport->connect(address).value());
    REQUIRE(poll_until({&server, &client}, [&] { return client.up.size() == ids.size(); }));
    for (std::size_t i = 0; i < ids.size(); ++i) {
        REQUIRE(client.transport->send(ids[i], Frame(i + 1)) == SendOutcome::accepted);
    }
    REQUIRE(poll_until({&server, &client}, [&] { return client.frames.size() == ids.size(); }));
    for (std::size_t i = 0; i < ids.size(); ++i) CHECK(client.frames[ids[i]][0].size() == i + 1);
}

void check_wake(const TransportUnderTest& subject) {
    Peer peer(subject.make());
    peer.transport->wake();
    peer.transport->poll(60'000'000, peer);  // returns at once, as a wake is kept
    std::thread waker([&] { peer.transport->wake(); });
    peer.transport->poll(60'000'000, peer);
    waker.join();
}

void check_errors(const TransportUnderTest& subject) {
    Peer server(subject.make());
    const std::string address = server.transport->listen(subject.address).value();
    Peer other(subject.make());
    const auto twice = other.transport->listen(address);
    REQUIRE_FALSE(twice.has_value());
    CHECK(twice.error().code() == StatusCode::unavailable);
    CHECK(twice.error().message().find(address) != std::string::npos);
    for (const char* bad : {"", "nonsense", "tcp://", "carrier-pigeon://roof"}) {
        INFO(bad);
        const auto listened = other.transport->listen(bad);
        REQUIRE_FALSE(listened.has_value());
        CHECK(listened.error().code() == StatusCode::invalid_argument);
        const auto dialled = other.transport->connect(bad);
        REQUIRE_FALSE(dialled.has_value());
        CHECK(dialled.error().code() == StatusCode::invalid_argument);
    }
}

}  // namespace

void check_transport_contract(const TransportUnderTest& subject) {
    INFO(subject.address);
    check_echo_and_order(subject);
    check_dial_before_listen(subject);
    check_full(subject);
    check_close(subject);
    check_many(subject);
    check_wake(subject);
    check_errors(subject);
}

}  // namespace molink::test
