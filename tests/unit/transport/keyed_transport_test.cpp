// Keys on ZeroMQ connections, and strangers that claim what is not theirs.
#include <array>
#include <cstring>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "unit/transport/transport_contract.h"

using namespace molink;
using namespace molink::test;

namespace {

std::unique_ptr<Transport> zmq(const std::optional<KeyPair>& keys) {
    ZmqTransportOptions options;
    options.reconnect_us = 5'000;
    options.reconnect_max_us = 20'000;
    options.keys = keys;
    return make_zmq_transport(options).value();
}

int port_of(const std::string& address) {
    return std::stoi(address.substr(address.rfind(':') + 1));
}

/// Polls for a while in which something could happen that must not.
void poll_some(const std::vector<Peer*>& peers) {
    for (int i = 0; i < 200; ++i) {
        for (Peer* peer : peers) peer->transport->poll(500, *peer);
    }
}

/// A client that speaks ZMTP 3.0 by hand and chooses its routing id.
class RawPeer {
public:
    RawPeer(int port, const std::string& routing_id) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(static_cast<std::uint16_t>(port));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
        std::string greeting("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16);
        greeting.resize(64, '\0');
        send(greeting);
        std::string ready("\x05READY", 6);
        ready += property("Socket-Type", "DEALER") + property("Identity", routing_id);
        send(std::string("\x04", 1) + static_cast<char>(ready.size()) + ready);
    }
    /// Waits until the server has answered the handshake; only then may frames be sent.
    bool shake_hands() {
        for (int i = 0; i < 50 && received().find("READY") == std::string::npos; ++i) {
            pollfd item{socket_, POLLIN, 0};
            ::poll(&item, 1, 100);
        }
        return text_.find("READY") != std::string::npos;
    }
    ~RawPeer() { ::close(socket_); }
    RawPeer(const RawPeer&) = delete;
    RawPeer& operator=(const RawPeer&) = delete;

    void send_frame(const std::string& text) {
        send(std::string("\0", 1) + static_cast<char>(text.size()) + text);
    }
    /// Returns all that has arrived so far, without the server's greeting.
    std::string received() {
        std::array<char, 4096> buffer{};
        pollfd item{socket_, POLLIN, 0};
        while (::poll(&item, 1, 0) > 0) {
            const ssize_t got = ::recv(socket_, buffer.data(), buffer.size(), 0);
            if (got <= 0) {
                ended = true;
                break;
            }
            text_.append(buffer.data(), static_cast<std::size_t>(got));
        }
        return text_;
    }
    bool ended = false;

private:
    static std::string property(const std::string& name, const std::string& value) {
        return static_cast<char>(name.size()) + name + std::string(3, '\0') +
               static_cast<char>(value.size()) + value;
    }
    void send(const std::string& text) {
        REQUIRE(::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == std::ssize(text));
    }
    int socket_;
    std::string text_;
};

struct Keyed {
    KeyPair server_keys = make_key_pair();
    KeyPair client_keys = make_key_pair();
    Peer server{zmq(server_keys)};
    std::string address = server.transport->listen("tcp://127.0.0.1:*").value();
};

}  // namespace

TEST_CASE("both ends of a keyed connection know each other's key", "[transport]") {
    Keyed world;
    world.server.permitted = {world.client_keys.public_key};
    world.server.echo = true;
    Peer client(zmq(world.client_keys));
    const auto connection =
        client.transport->connect({world.address, world.server_keys.public_key});
    REQUIRE(connection.has_value());
    REQUIRE(poll_until({&client, &world.server}, [&] { return !client.up.empty(); }));
    CHECK(client.identities[*connection].key == world.server_keys.public_key);
    Frame frame(100, std::byte{7});
    REQUIRE(client.transport->send(*connection, Frame(frame)) == SendOutcome::accepted);
    REQUIRE(
        poll_until({&client, &world.server}, [&] { return !client.frames[*connection].empty(); }));
    CHECK(client.frames[*connection].front() == frame);
    REQUIRE(world.server.up.size() == 1);
    CHECK(world.server.identities[world.server.up[0]].key == world.client_keys.public_key);
    world.server.transport->close(world.server.up[0]);
    REQUIRE(poll_until({&client, &world.server}, [&] { return !client.down.empty(); }));
}

TEST_CASE("a key that is not permitted gets no connection until it is", "[transport]") {
    Keyed world;
    Peer client(zmq(world.client_keys));
    REQUIRE(client.transport->connect({world.address, world.server_keys.public_key}).has_value());
    // ZeroMQ keeps a refused connection until the door ends it, after limits::kHelloWithinUs.
    const auto patient = [&](const auto& done) {
        for (int i = 0; i < 5; ++i) {
            if (poll_until({&client, &world.server}, done)) return true;
        }
        return false;
    };
    REQUIRE(patient([&] { return world.server.asked.size() > 1; }));
    CHECK(world.server.asked.front() == world.client_keys.public_key);
    CHECK(client.up.empty());
    CHECK(world.server.up.empty());
    world.server.permitted = {world.client_keys.public_key};
    REQUIRE(patient([&] { return !client.up.empty(); }));
}

TEST_CASE("a pass introduces a node by another key than its own", "[transport]") {
    Keyed world;
    const KeyPair pass = make_key_pair();
    world.server.permitted = {pass.public_key};
    Peer client(zmq(world.client_keys));
    DialTarget target(world.address, world.server_keys.public_key);
    target.pass = pass;
    const ConnectionId connection = client.transport->connect(target).value();
    REQUIRE(poll_until({&client, &world.server}, [&] { return !client.up.empty(); }));
    REQUIRE(client.transport->send(connection, Frame(1)) == SendOutcome::accepted);
    REQUIRE(poll_until({&client, &world.server}, [&] { return !world.server.up.empty(); }));
    CHECK(world.server.identities[world.server.up[0]].key == pass.public_key);
}

TEST_CASE("a server with another key, or a client without one, gets no connection", "[transport]") {
    Keyed world;
    world.server.permitted = {world.client_keys.public_key};
    Peer client(zmq(world.client_keys));
    REQUIRE(client.transport->connect({world.address, make_key_pair().public_key}).has_value());
    Peer plain(zmq(std::nullopt));
    REQUIRE(plain.transport->connect(world.address).has_value());
    RawPeer raw(port_of(world.address), "x");
    raw.send_frame("hello");
    poll_some({&client, &plain, &world.server});
    CHECK(client.up.empty());
    CHECK(plain.up.empty());
    CHECK(world.server.up.empty());
    CHECK(world.server.asked.empty());
}

TEST_CASE("a transport dials with a key exactly when it has keys", "[transport]") {
    Keyed world;
    CHECK(world.server.transport->connect(world.address).error().code() ==
          StatusCode::invalid_argument);
    CHECK(
        zmq(std::nullopt)->connect({world.address, world.server_keys.public_key}).error().code() ==
        StatusCode::invalid_argument);
}

TEST_CASE("a second claimant of a routing id gets nothing and disturbs nobody", "[transport]") {
    Peer server(zmq(std::nullopt));
    const int port = port_of(server.transport->listen("tcp://127.0.0.1:*").value());
    RawPeer first(port, "victim");
    REQUIRE(first.shake_hands());
    first.send_frame("one");
    REQUIRE(poll_until({&server}, [&] { return !server.up.empty(); }));
    const ConnectionId connection = server.up[0];
    RawPeer second(port, "victim");
    REQUIRE(second.shake_hands());
    second.send_frame("forged");
    second.send_frame("forged too");
    poll_some({&server});
    const std::string secret = "a secret answer";
    Frame frame(secret.size());
    std::memcpy(frame.data(), secret.data(), secret.size());
    REQUIRE(server.transport->send(connection, std::move(frame)) == SendOutcome::accepted);
    REQUIRE(
        poll_until({&server}, [&] { return first.received().find(secret) != std::string::npos; }));
    CHECK(second.received().find(secret) == std::string::npos);
    CHECK(server.down.empty());
    CHECK(server.frames[connection].size() == 1);
    first.send_frame("two");
    REQUIRE(poll_until({&server}, [&] { return server.frames[connection].size() == 2; }));
}

TEST_CASE("connections that say nothing are bounded, and trusted ones stay", "[transport]") {
    Peer server(zmq(std::nullopt));
    const int port = port_of(server.transport->listen("tcp://127.0.0.1:*").value());
    RawPeer member(port, "member");
    REQUIRE(member.shake_hands());
    member.send_frame("hello");
    REQUIRE(poll_until({&server}, [&] { return !server.up.empty(); }));
    server.transport->trust(server.up[0]);
    std::vector<std::unique_ptr<RawPeer>> idle;
    for (std::size_t i = 0; i < limits::kMaxUntrustedPerSource + 20; ++i) {
        idle.push_back(std::make_unique<RawPeer>(port, "idle" + std::to_string(i)));
    }
    const auto ended = [&] {
        std::size_t count = 0;
        for (const auto& peer : idle) {
            (void)peer->received();
            count += peer->ended ? 1 : 0;
        }
        return count;
    };
    REQUIRE(poll_until({&server}, [&] { return ended() >= 20; }));
    poll_some({&server});
    CHECK(ended() == 20);
    (void)member.received();
    CHECK_FALSE(member.ended);
    member.send_frame("again");
    REQUIRE(poll_until({&server}, [&] { return server.frames[server.up[0]].size() == 2; }));
}
