// See relay.h. Bytes depart when the link is free, one after the other, and are written on the
// other side a delay later; times are in nanoseconds of the steady clock.
#include "support/relay.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <deque>
#include <list>
#include <mutex>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

namespace molink::test {
namespace {

using Nanoseconds = std::int64_t;
constexpr Nanoseconds kFar = INT64_MAX;

Nanoseconds now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int tcp_socket() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw std::runtime_error("relay: cannot open a socket");
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return fd;
}

/// One direction of one connection: bytes on their way.
struct Pipe {
    struct Chunk {
        Nanoseconds due = 0;
        std::size_t offset = 0;
        std::vector<char> bytes;
    };
    std::deque<Chunk> chunks;
    Nanoseconds last_due = 0;
    bool ended = false;
    bool shut = false;
};

/// Direction 0 is up. fd[0] was accepted, fd[1] dialled.
struct Connection {
    std::array<int, 2> fd{-1, -1};
    std::array<Pipe, 2> pipes;
    bool dead = false;

    void close(bool reset) {
        for (int& side : fd) {
            if (side < 0) continue;
            const linger hard{1, 0};
            if (reset) ::setsockopt(side, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            ::close(side);
            side = -1;
        }
        dead = true;
    }
};

/// One direction of a link.
struct Direction {
    double bytes_per_s = 0;
    double queue_bytes = 0;
    Nanoseconds free_at = 0;

    bool full(Nanoseconds now) const {
        return bytes_per_s > 0 &&
               static_cast<double>(free_at - now) * bytes_per_s / 1e9 > queue_bytes;
    }
    /// Returns when it is no longer full.
    Nanoseconds room_at() const {
        return free_at - static_cast<Nanoseconds>(queue_bytes / bytes_per_s * 1e9);
    }
    /// Returns how many bytes to read at once: what passes in a millisecond (at least a TCP
    /// segment), so that connections share the rate.
    std::size_t read_bytes() const {
        if (bytes_per_s <= 0) return 65536;
        return static_cast<std::size_t>(std::clamp(bytes_per_s / 1000, 1448.0, 65536.0));
    }
};

}  // namespace

class Relay::Loop {
public:
    Loop() : wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), thread_([this] { run(); }) {}

    ~Loop() {
        stop_ = true;
        wake();
        thread_.join();
        for (Link& link : links_) {
            for (Connection& connection : link.connections) connection.close(false);
            ::close(link.listener);
        }
        ::close(wake_);
    }

    int add(int target, const RelayedLink& shape) {
        Link link;
        link.listener = tcp_socket();
        link.target = target;
        link.shape = shape;
        sockaddr_in address = loopback(0);
        socklen_t size = sizeof address;
        if (::bind(link.listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
            ::listen(link.listener, 64) != 0 ||
            ::getsockname(link.listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
            throw std::runtime_error("relay: cannot listen on loopback");
        }
        link.port = ntohs(address.sin_port);
        const double round_trip_s = 2 * static_cast<double>(shape.delay_us) / 1e6;
        const std::array<double, 2> rates{shape.up_bytes_per_s, shape.down_bytes_per_s};
        for (std::size_t d = 0; d < 2; ++d) {
            link.directions[d].bytes_per_s = rates[d];
            link.directions[d].queue_bytes = std::max(65536.0, rates[d] * round_trip_s);
        }
        const std::lock_guard lock(mutex_);
        links_.push_back(std::move(link));
        wake();
        return links_.back().port;
    }

    void freeze(int port, std::int64_t duration_us) {
        const std::lock_guard lock(mutex_);
        find(port).frozen_until = now_ns() + duration_us * 1000;
    }

    void cut(int port) {
        const std::lock_guard lock(mutex_);
        for (Connection& connection : find(port).connections) connection.close(true);
        wake();
    }

    std::array<std::uint64_t, 2> bytes(int port) {
        const std::lock_guard lock(mutex_);
        return find(port).bytes;
    }

private:
    struct Link {
        int listener = -1;
        int port = 0;
        int target = 0;
        RelayedLink shape;
        std::array<Direction, 2> directions;
        std::list<Connection> connections;
        Nanoseconds frozen_until = 0;
        std::array<std::uint64_t, 2> bytes{};
    };

    Link& find(int port) {
        for (Link& link : links_) {
            if (link.port == port) return link;
        }
        throw std::runtime_error("relay: port " + std::to_string(port) + " is not relayed");
    }

    void wake() {
        const std::uint64_t one = 1;
        [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
    }

    void run() {
        std::vector<pollfd> fds;
        while (!stop_) {
            Nanoseconds next = kFar;
            fds.assign(1, {wake_, POLLIN, 0});
            {
                const std::lock_guard lock(mutex_);
                const Nanoseconds now = now_ns();
                for (Link& link : links_) next = std::min(next, watch(link, now, fds));
            }
            const Nanoseconds wait = std::clamp<Nanoseconds>(next - now_ns(), 0, 100'000'000);
            const timespec timeout{0, wait == 100'000'000 ? 99'999'999 : wait};
            ::ppoll(fds.data(), fds.size(), &timeout, nullptr);
            std::uint64_t count = 0;
            [[maybe_unused]] const auto drained = ::read(wake_, &count, sizeof count);
            const std::lock_guard lock(mutex_);
            for (Link& link : links_) serve(link);
        }
    }

    /// Adds the descriptors of a link that have to be polled. Returns when something falls due.
    Nanoseconds watch(Link& link, Nanoseconds now, std::vector<pollfd>& fds) {
        Nanoseconds next = kFar;
        fds.push_back({link.listener, POLLIN, 0});
        for (Connection& connection : link.connections) {
            for (std::size_t d = 0; d < 2; ++d) {
                const Direction& direction = link.directions[d];
                const Pipe& pipe = connection.pipes[d];
                if (direction.full(now)) {
                    next = std::min(next, direction.room_at());
                } else if (!pipe.ended) {
                    fds.push_back({connection.fd[d], POLLIN, 0});
                }
                if (pipe.chunks.empty()) continue;
                const Nanoseconds due = std::max(pipe.chunks.front().due, link.frozen_until);
                if (due > now) {
                    next = std::min(next, due);
                } else {
                    fds.push_back({connection.fd[1 - d], POLLOUT, 0});
                }
            }
        }
        return next;
    }

    void serve(Link& link) {
        accept_all(link);
        for (Connection& connection : link.connections) {
            for (std::size_t d = 0; d < 2 && !connection.dead; ++d) read(link, connection, d);
            for (std::size_t d = 0; d < 2 && !connection.dead; ++d) write(link, connection, d);
        }
        link.connections.remove_if([](const Connection& connection) { return connection.dead; });
    }

    void accept_all(Link& link) {
        for (int i = 0; i < 64; ++i) {
            const int fd = ::accept4(link.listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            const int one = 1;
            ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            Connection connection;
            connection.fd = {fd, tcp_socket()};
            const sockaddr_in address = loopback(link.target);
            const int result = ::connect(
                connection.fd[1], reinterpret_cast<const sockaddr*>(&address), sizeof address);
            if (result != 0 && errno != EINPROGRESS) {
                connection.close(true);
                continue;
            }
            link.connections.push_back(std::move(connection));
        }
    }

    void read(Link& link, Connection& connection, std::size_t d) {
        Direction& direction = link.directions[d];
        Pipe& pipe = connection.pipes[d];
        std::array<char, 65536> buffer;
        for (int i = 0; i < 16 && !pipe.ended; ++i) {
            const Nanoseconds now = now_ns();
            if (direction.full(now)) return;
            const ssize_t got = ::recv(connection.fd[d], buffer.data(), direction.read_bytes(), 0);
            if (got < 0) {
                if (errno != EAGAIN && errno != EINTR && errno != ENOTCONN) connection.close(true);
                return;
            }
            pipe.ended = got == 0;
            if (got == 0) return;
            Nanoseconds departs = std::max(now, direction.free_at);
            if (direction.bytes_per_s > 0) {
                departs += static_cast<Nanoseconds>(static_cast<double>(got) /
                                                    direction.bytes_per_s * 1e9);
                direction.free_at = departs;
            }
            Nanoseconds due = departs + link.shape.delay_us * 1000;
            if (link.shape.jitter_us > 0) {
                due += static_cast<Nanoseconds>(
                    random_() % (static_cast<std::uint64_t>(link.shape.jitter_us) * 1000));
            }
            pipe.last_due = due = std::max(due, pipe.last_due);
            pipe.chunks.push_back({due, 0, {buffer.data(), buffer.data() + got}});
            link.bytes[d] += static_cast<std::uint64_t>(got);
            if (link.shape.tap) link.shape.tap({buffer.data(), static_cast<std::size_t>(got)});
        }
    }

    void write(Link& link, Connection& connection, std::size_t d) {
        Pipe& pipe = connection.pipes[d];
        const Nanoseconds now = now_ns();
        if (now < link.frozen_until) return;
        while (!pipe.chunks.empty() && pipe.chunks.front().due <= now) {
            Pipe::Chunk& chunk = pipe.chunks.front();
            const ssize_t sent = ::send(connection.fd[1 - d], chunk.bytes.data() + chunk.offset,
                                        chunk.bytes.size() - chunk.offset, MSG_NOSIGNAL);
            if (sent < 0) {
                if (errno != EAGAIN && errno != EINTR && errno != ENOTCONN) connection.close(true);
                return;
            }
            chunk.offset += static_cast<std::size_t>(sent);
            if (chunk.offset == chunk.bytes.size()) pipe.chunks.pop_front();
        }
        if (!pipe.ended || !pipe.chunks.empty() || pipe.shut) return;
        ::shutdown(connection.fd[1 - d], SHUT_WR);
        pipe.shut = true;
        if (connection.pipes[0].shut && connection.pipes[1].shut) connection.close(false);
    }

    int wake_;
    std::mutex mutex_;
    std::list<Link> links_;  // under mutex_
    std::mt19937_64 random_{12345};
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

Relay::Relay() : loop_(std::make_unique<Loop>()) {}
Relay::~Relay() = default;
int Relay::add(int target, const RelayedLink& link) {
    return loop_->add(target, link);
}
void Relay::freeze(int port, std::int64_t duration_us) {
    loop_->freeze(port, duration_us);
}
void Relay::cut(int port) {
    loop_->cut(port);
}
std::array<std::uint64_t, 2> Relay::bytes(int port) const {
    return loop_->bytes(port);
}

}  // namespace molink::test
