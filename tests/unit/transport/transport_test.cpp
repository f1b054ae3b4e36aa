// The contract, checked on every built-in transport, and tests of their own features.
#include <atomic>
#include <thread>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/random.h"
#include "support/temp_dir.h"
#include "unit/transport/transport_contract.h"

using namespace molink;
using namespace molink::test;

namespace {

std::unique_ptr<Transport> zmq() {
    ZmqTransportOptions options;
    options.reconnect_us = 5'000;
    options.reconnect_max_us = 20'000;
    return make_zmq_transport(options).value();
}

/// Returns a loopback TCP address with a port that is free at the moment.
std::string free_address() {
    const auto probe = zmq();
    return probe->listen("tcp://127.0.0.1:*").value();
}

int port_of(const std::string& address) {
    return std::stoi(address.substr(address.rfind(':') + 1));
}

int raw_connect(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0);
    return fd;
}

struct StepClock final : Clock {
    std::int64_t now_us() const override { return now; }
    std::int64_t now = 0;
};

}  // namespace

TEST_CASE("the in-process transport keeps the contract", "[transport]") {
    const auto hub = make_inproc_hub();
    check_transport_contract({[&] { return hub->make_transport(); }, "inproc://a", "inproc://b"});
}

TEST_CASE("ZeroMQ over TCP keeps the contract", "[transport]") {
    check_transport_contract({zmq, "tcp://127.0.0.1:*", free_address()});
}

TEST_CASE("ZeroMQ at a host name and at an interface keeps the contract", "[transport]") {
    const std::string port = std::to_string(port_of(free_address()));
    check_transport_contract({zmq, "tcp://localhost:*", "tcp://localhost:" + port});
    Peer server(zmq());
    REQUIRE(server.transport->listen("tcp://lo:*").value().starts_with("tcp://127.0.0.1:"));
}

TEST_CASE("ZeroMQ over IPv6 keeps the contract", "[transport]") {
    const auto probe = zmq();
    const auto six = probe->listen("tcp://[::1]:*");
    if (!six) {
        WARN("this machine has no IPv6: " + six.status().message());
        return;
    }
    REQUIRE(six->starts_with("tcp://[::1]:"));
    check_transport_contract(
        {zmq, "tcp://[::1]:*", "tcp://[::1]:" + std::to_string(port_of(free_address()))});
    // All addresses of both kinds.
    Peer server(zmq());
    server.echo = true;
    const int port = port_of(server.transport->listen("tcp://[::]:*").value());
    for (const char* host : {"127.0.0.1", "[::1]", "localhost"}) {
        INFO(host);
        Peer client(zmq());
        const std::string to = fmt::format("tcp://{}:{}", host, port);
        const ConnectionId id = client.transport->connect(to).value();
        REQUIRE(poll_until({&server, &client}, [&] { return !client.up.empty(); }));
        REQUIRE(client.transport->send(id, Frame(9)) == SendOutcome::accepted);
        REQUIRE(poll_until({&server, &client}, [&] { return !client.frames[id].empty(); }));
    }
}

TEST_CASE("a host name that nobody knows is told, and does not stop the others", "[transport]") {
    const std::string unknown = std::string(64, 'x') + ".invalid";  // no label may be so long
    const std::string words = "the host name '" + unknown + "' cannot be resolved";
    const auto listened = zmq()->listen("tcp://" + unknown + ":*");
    REQUIRE(listened.status().message().find(words) != std::string::npos);
    Peer server(zmq());
    Peer client(zmq());
    const std::string address = server.transport->listen("tcp://127.0.0.1:*").value();
    const ConnectionId lost = client.transport->connect("tcp://" + unknown + ":1").value();
    const ConnectionId good = client.transport->connect(address).value();
    REQUIRE(poll_until({&server, &client},
                       [&] { return !client.up.empty() && client.resolved.contains(lost); }));
    REQUIRE(client.up.front() == good);
    REQUIRE(client.resolved[lost].message().find(words) != std::string::npos);
    REQUIRE(client.transport->send(lost, Frame(9)) == SendOutcome::closed);
    client.resolved.clear();  // it is tried again
    REQUIRE(poll_until({&server, &client}, [&] { return client.resolved.contains(lost); }));
    client.transport->close(lost);
    client.resolved.clear();
    client.transport->poll(0, client);
    REQUIRE(client.resolved.empty());
}

TEST_CASE("a port above 65535 is refused, not cut off", "[transport]") {
    const auto transport = zmq();
    for (const char* address : {"tcp://127.0.0.1:65536", "tcp://localhost:72636"}) {
        INFO(address);
        CHECK(transport->listen(address).error().code() == StatusCode::invalid_argument);
        CHECK(transport->connect(address).error().code() == StatusCode::invalid_argument);
    }
}

TEST_CASE("ZeroMQ over local sockets keeps the contract", "[transport]") {
    const TempDir dir;
    const std::string base = "ipc://" + dir.path().string();
    check_transport_contract({zmq, base + "/a", base + "/b"});
    const auto transport = zmq();
    CHECK(transport->listen(base + "/" + std::string(200, 'x')).error().code() ==
          StatusCode::invalid_argument);
}

TEST_CASE("the shaped transport keeps the contract", "[transport]") {
    const auto hub = make_inproc_hub();
    const auto make = [&] {
        return make_shaped_transport(hub->make_transport(), {200e6, 300, 100}, steady_clock());
    };
    check_transport_contract({make, "inproc://a", "inproc://b"});
    const auto over_zmq = [] {
        return make_shaped_transport(zmq(), {200e6, 300, 0}, steady_clock());
    };
    check_transport_contract({over_zmq, "tcp://127.0.0.1:*", free_address()});
}

TEST_CASE("the shaped transport delays and paces", "[transport]") {
    const auto hub = make_inproc_hub();
    StepClock clock;
    Peer server(hub->make_transport());
    Peer client(make_shaped_transport(hub->make_transport(), {1e6, 5000, 0}, clock));
    REQUIRE(server.transport->listen("inproc://s").has_value());
    const ConnectionId id = client.transport->connect("inproc://s").value();
    client.transport->poll(0, client);
    REQUIRE(client.up.size() == 1);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(client.transport->send(id, Frame(1000)) == SendOutcome::accepted);
    }
    std::vector<std::int64_t> arrived;
    for (clock.now = 0; clock.now < 20'000; clock.now += 100) {
        client.transport->poll(0, client);
        server.transport->poll(0, server);
        while (!server.frames.empty() && arrived.size() < server.frames.begin()->second.size()) {
            arrived.push_back(clock.now);
        }
    }
    CHECK(arrived == std::vector<std::int64_t>{6000, 7000, 8000});
}

TEST_CASE("other protocols on the port do not disturb connections", "[transport]") {
    Peer server(zmq());
    Peer client(zmq());
    server.echo = true;
    const std::string address = server.transport->listen("tcp://127.0.0.1:*").value();
    const ConnectionId id = client.transport->connect(address).value();
    REQUIRE(poll_until({&server, &client}, [&] { return !client.up.empty(); }));
    Random random(3);
    const std::string texts[] = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-x\r\n",
                                 std::string(1, '\x16') + "\x03\x01\x02"};
    for (int i = 0; i < 60; ++i) {
        const int fd = raw_connect(port_of(address));
        std::string bytes = i < 3 ? texts[i] : std::string();
        const std::size_t size = i < 3 ? 0 : random.below(5000);
        if (i % 2 == 0 && i >= 3) bytes = std::string("\xff\0\0\0\0\0\0\0\1\x7f", 10);
        for (std::size_t k = 0; k < size; ++k) bytes.push_back(static_cast<char>(random.next()));
        [[maybe_unused]] const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        ::close(fd);
        server.transport->poll(0, server);
    }
    REQUIRE(client.transport->send(id, Frame(9)) == SendOutcome::accepted);
    REQUIRE(poll_until({&server, &client}, [&] { return !client.frames[id].empty(); }));
    CHECK(client.down.empty());
}

TEST_CASE("a frame above the limit ends only its connection", "[transport]") {
    ZmqTransportOptions large;
    large.max_frame_bytes = 1 << 20;
    Peer server(zmq());
    Peer client(zmq());
    Peer rude(make_zmq_transport(large).value());
    server.echo = true;
    const std::string address = server.transport->listen("tcp://127.0.0.1:*").value();
    const ConnectionId id = client.transport->connect(address).value();
    const ConnectionId bad = rude.transport->connect(address).value();
    REQUIRE(poll_until({&server, &client, &rude},
                       [&] { return !client.up.empty() && !rude.up.empty(); }));
    REQUIRE(rude.transport->send(bad, Frame(500'000)) == SendOutcome::accepted);
    REQUIRE(poll_until({&server, &client, &rude}, [&] { return !rude.down.empty(); }));
    REQUIRE(client.transport->send(id, Frame(9)) == SendOutcome::accepted);
    REQUIRE(poll_until({&server, &client}, [&] { return !client.frames[id].empty(); }));
    CHECK(server.frames.size() == 1);
}

TEST_CASE("in-process transports may live in different threads", "[transport]") {
    const auto hub = make_inproc_hub();
    std::atomic<bool> stop{false};
    Peer server(hub->make_transport());
    REQUIRE(server.transport->listen("inproc://t").has_value());
    server.echo = true;
    std::thread thread([&] {
        while (!stop) server.transport->poll(100'000, server);
    });
    std::vector<std::thread> clients;
    std::atomic<int> whole{0};
    for (int c = 0; c < 3; ++c) {
        clients.emplace_back([&] {
            Peer client(hub->make_transport());
            const auto id = client.transport->connect("inproc://t").value();
            for (std::size_t i = 0; i < 2000 && client.frames[id].size() == i; ++i) {
                while (client.transport->send(id, Frame(i % 100)) != SendOutcome::accepted) {
                    client.transport->poll(1000, client);
                }
                for (int k = 0; k < 2000 && client.frames[id].size() == i; ++k) {
                    client.transport->poll(10'000, client);
                }
            }
            if (client.frames[id].size() == 2000) ++whole;
        });
    }
    for (std::thread& client : clients) client.join();
    stop = true;
    server.transport->wake();
    thread.join();
    CHECK(whole == 3);
}
