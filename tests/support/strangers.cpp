// See strangers.h. A pause between attempts is a wait on a socket or a transport that nobody
// answers.
#include "support/strangers.h"

#include <algorithm>
#include <deque>
#include <string>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <molink/clock.h>
#include <molink/transport.h>

#include "base/random.h"

namespace molink::test {
namespace {

constexpr std::uint64_t kSources = 250;
constexpr std::size_t kKnocksAtOnce = 32;

/// Connects from 127.0.1.1 to 127.0.1.250. Returns -1 when nobody listens.
int connect_from(std::uint64_t source, int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + static_cast<std::uint32_t>(source));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0 &&
        ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0) {
        return fd;
    }
    ::close(fd);
    return -1;
}

std::string words(Random& random) {
    if (random.below(2) == 0) return {};
    std::string bytes(12 + random.below(300), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.next());
    return bytes.replace(0, 12, std::string("\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01", 12));
}

/// A sink that must never hear of a connection.
struct Unheard final : TransportSink {
    bool permits(const PublicKey&) override { return false; }
    void on_connected(ConnectionId, const PeerIdentity&) override { ++heard; }
    void on_disconnected(ConnectionId) override {}
    void on_frame(ConnectionId, std::span<const std::byte>) override { ++heard; }
    int heard = 0;
};

/// How long to wait before attempt `i` of a series that began at `begin_us`.
std::int64_t wait_us(double per_s, int i, std::int64_t begin_us) {
    if (per_s <= 0) return 0;
    const auto due_us = begin_us + static_cast<std::int64_t>(i * 1e6 / per_s);
    return std::max<std::int64_t>(due_us - steady_clock().now_us(), 0);
}

}  // namespace

int Strangers::connect(int count, std::size_t held, std::uint64_t seed,
                       const std::atomic<bool>& over) const {
    Random random(seed);
    std::deque<int> open;
    int made = 0;
    const std::int64_t begin_us = steady_clock().now_us();
    for (int i = 0; i < count && !over; ++i) {
        ::poll(nullptr, 0, static_cast<int>(wait_us(per_s, i, begin_us) / 1'000));
        const int fd = connect_from(1 + random.below(kSources), ports[random.below(ports.size())]);
        if (fd < 0) continue;
        ++made;
        const std::string bytes = words(random);
        if (!bytes.empty()) (void)::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        open.push_back(fd);
        if (open.size() <= held) continue;
        ::close(open.front());
        open.pop_front();
    }
    for (int fd : open) ::close(fd);
    return made;
}

int Strangers::knock(int count, const PublicKey& server, const std::atomic<bool>& over) const {
    ZmqTransportOptions options;
    options.keys = make_key_pair();
    const auto transport = make_zmq_transport(options).value();
    Unheard sink;
    std::deque<ConnectionId> open;
    const std::int64_t begin_us = steady_clock().now_us();
    for (int i = 0; i < count && !over; ++i) {
        transport->poll(wait_us(per_s, i, begin_us), sink);
        const int port = ports[static_cast<std::size_t>(i) % ports.size()];
        DialTarget target("tcp://127.0.0.1:" + std::to_string(port), server);
        target.pass = make_key_pair();
        const auto connection = transport->connect(target);
        if (connection) open.push_back(*connection);
        if (open.size() <= kKnocksAtOnce) continue;
        transport->poll(0, sink);
        transport->close(open.front());
        open.pop_front();
    }
    return sink.heard;
}

}  // namespace molink::test
