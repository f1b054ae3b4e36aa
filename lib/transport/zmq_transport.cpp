// The ZeroMQ transport, in the only file that uses ZeroMQ. One ROUTER accepts connections, and each
// dialled connection has a DEALER with a monitor that reports when it is up. ROUTER_MANDATORY and
// IMMEDIATE report a full or missing peer instead of queueing without bound. LINGER 0 prevents a
// blocking destructor.
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <deque>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include <molink/transport.h>

#include "base/error.h"
#include "base/limits.h"

namespace molink {
namespace {

constexpr int kMonitored = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;

/// A dialled connection.
struct Dialled {
    zmq::socket_t socket;
    zmq::socket_t monitor;
    bool up = false;
};

/// An event that is kept until it can be delivered in order.
struct Event {
    enum class Kind : std::uint8_t { connected, disconnected } kind;
    ConnectionId connection;
};

/// Returns whether a process listens at the socket file of an ipc:// address. ZeroMQ itself would
/// replace the file.
bool ipc_in_use(std::string_view address) {
    constexpr std::string_view kScheme = "ipc://";
    sockaddr_un to{};
    if (!address.starts_with(kScheme)) return false;
    const std::string_view path = address.substr(kScheme.size());
    if (path.empty() || path[0] == '@' || path[0] == '*' || path.size() >= sizeof to.sun_path) {
        return false;
    }
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return false;
    to.sun_family = AF_UNIX;
    std::memcpy(to.sun_path, path.data(), path.size());
    const bool answered = ::connect(probe, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
    const bool in_use = answered || errno == EAGAIN;  // EAGAIN: the backlog of the listener is full
    ::close(probe);
    return in_use;
}

class ZmqTransport final : public Transport {
public:
    ZmqTransport(const ZmqTransportOptions& options, int wake_fd)
        : options_(options), wake_fd_(wake_fd) {}

    ~ZmqTransport() override {
        dialled_.clear();
        router_.close();
        context_.close();
        ::close(wake_fd_);
    }

    std::string_view name() const override { return "zmq"; }
    Result<std::string> listen(const std::string& address) override;
    Result<ConnectionId> connect(const std::string& address) override;
    SendOutcome send(ConnectionId connection, Frame&& frame) override;
    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override;
    void close(ConnectionId connection) override;

    void wake() override {
        const std::uint64_t one = 1;
        // If the counter is full, a wake is already pending.
        [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
    }

private:
    std::size_t poll_sockets(std::int64_t timeout_us, TransportSink& sink);
    zmq::socket_t make_socket(zmq::socket_type type);
    std::size_t receive_accepted(TransportSink& sink);
    std::size_t receive_dialled(ConnectionId connection, TransportSink& sink);
    std::size_t read_monitor(ConnectionId connection, TransportSink& sink);
    SendOutcome send_accepted(const std::string& peer, ConnectionId connection, Frame&& frame);
    ConnectionId accepted_connection(const std::string& peer, TransportSink& sink);
    void drop_accepted(ConnectionId connection);

    ZmqTransportOptions options_;
    int wake_fd_;
    zmq::context_t context_{1};
    zmq::socket_t router_;
    std::map<ConnectionId, Dialled> dialled_;
    std::map<std::string, ConnectionId> by_peer_;  // routing id of the ROUTER -> connection
    std::map<ConnectionId, std::string> peers_;
    std::deque<Event> pending_;
    std::uint64_t next_connection_ = 1;
};

zmq::socket_t ZmqTransport::make_socket(zmq::socket_type type) {
    zmq::socket_t socket(context_, type);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::sndhwm, options_.high_water_mark_frames);
    socket.set(zmq::sockopt::rcvhwm, options_.high_water_mark_frames);
    socket.set(zmq::sockopt::maxmsgsize, options_.max_frame_bytes);
    if (options_.heartbeat_us > 0) {
        const int interval_ms = static_cast<int>(options_.heartbeat_us / 1000);
        socket.set(zmq::sockopt::heartbeat_ivl, interval_ms);
        socket.set(zmq::sockopt::heartbeat_timeout, 30 * interval_ms);
    }
    return socket;
}

Result<std::string> ZmqTransport::listen(const std::string& address) {
    if (ipc_in_use(address)) {
        return make_error(StatusCode::unavailable, "listen at {}: the address is in use", address);
    }
    try {
        zmq::socket_t router = make_socket(zmq::socket_type::router);
        router.set(zmq::sockopt::router_mandatory, true);
        router.set(zmq::sockopt::router_handover, true);
        router.bind(address);
        std::string resolved = router.get(zmq::sockopt::last_endpoint);
        while (!resolved.empty() && resolved.back() == '\0') resolved.pop_back();
        router_ = std::move(router);
        return resolved;
    } catch (const zmq::error_t& error) {
        if (error.num() == EADDRINUSE) {
            return make_error(StatusCode::unavailable, "listen at {}: the address is in use",
                              address);
        }
        if (error.num() == EINVAL || error.num() == EPROTONOSUPPORT || error.num() == ENODEV ||
            error.num() == ENAMETOOLONG) {
            return invalid_argument("listen at '{}': {}", address, error.what());
        }
        return make_error(StatusCode::unavailable, "listen at {}: {}", address, error.what());
    }
}

Result<ConnectionId> ZmqTransport::connect(const std::string& address) {
    try {
        const ConnectionId connection(next_connection_++);
        Dialled dialled{make_socket(zmq::socket_type::dealer),
                        zmq::socket_t(context_, zmq::socket_type::pair)};
        dialled.socket.set(zmq::sockopt::immediate, true);
        dialled.socket.set(zmq::sockopt::reconnect_ivl,
                           static_cast<int>(options_.reconnect_us / 1000));
        dialled.socket.set(zmq::sockopt::reconnect_ivl_max,
                           static_cast<int>(options_.reconnect_max_us / 1000));
        const std::string monitor = fmt::format("inproc://monitor-{}", connection.value);
        if (zmq_socket_monitor(dialled.socket.handle(), monitor.c_str(), kMonitored) != 0) {
            return make_error(StatusCode::internal, "monitor the connection to {}: {}", address,
                              zmq_strerror(zmq_errno()));
        }
        dialled.monitor.set(zmq::sockopt::linger, 0);
        dialled.monitor.connect(monitor);
        dialled.socket.connect(address);
        dialled_.emplace(connection, std::move(dialled));
        return connection;
    } catch (const zmq::error_t& error) {
        return invalid_argument("dial '{}': {}", address, error.what());
    }
}

SendOutcome ZmqTransport::send(ConnectionId connection, Frame&& frame) {
    const auto accepted = peers_.find(connection);
    if (accepted != peers_.end()) {
        return send_accepted(accepted->second, connection, std::move(frame));
    }
    const auto found = dialled_.find(connection);
    if (found == dialled_.end() || !found->second.up) return SendOutcome::closed;
    const int sent =
        zmq_send(found->second.socket.handle(), frame.data(), frame.size(), ZMQ_DONTWAIT);
    return sent >= 0 ? SendOutcome::accepted : SendOutcome::full;
}

SendOutcome ZmqTransport::send_accepted(const std::string& peer, ConnectionId connection,
                                        Frame&& frame) {
    void* socket = router_.handle();
    if (zmq_send(socket, peer.data(), peer.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() == EAGAIN) return SendOutcome::full;
        drop_accepted(connection);
        pending_.push_back({Event::Kind::disconnected, connection});
        return SendOutcome::closed;
    }
    const int sent = zmq_send(socket, frame.data(), frame.size(), ZMQ_DONTWAIT);
    return sent >= 0 ? SendOutcome::accepted : SendOutcome::full;
}

void ZmqTransport::drop_accepted(ConnectionId connection) {
    const auto found = peers_.find(connection);
    if (found == peers_.end()) return;
    by_peer_.erase(found->second);
    peers_.erase(found);
}

void ZmqTransport::close(ConnectionId connection) {
    drop_accepted(connection);
    dialled_.erase(connection);
    std::erase_if(pending_, [&](const Event& event) { return event.connection == connection; });
}

std::size_t ZmqTransport::poll(std::int64_t timeout_us, TransportSink& sink) {
    try {
        return poll_sockets(timeout_us, sink);
    } catch (const zmq::error_t&) {
        return 1;  // interrupted by a signal; pending events remain for the next call
    }
}

std::size_t ZmqTransport::poll_sockets(std::int64_t timeout_us, TransportSink& sink) {
    std::vector<zmq::pollitem_t> items;
    std::vector<ConnectionId> order;
    items.push_back({nullptr, wake_fd_, ZMQ_POLLIN, 0});
    if (router_) items.push_back({router_.handle(), 0, ZMQ_POLLIN, 0});
    const std::size_t first = items.size();
    for (auto& [connection, dialled] : dialled_) {
        items.push_back({dialled.monitor.handle(), 0, ZMQ_POLLIN, 0});
        items.push_back({dialled.socket.handle(), 0, ZMQ_POLLIN, 0});
        order.push_back(connection);
    }
    const long timeout_ms = pending_.empty() ? static_cast<long>((timeout_us + 999) / 1000) : 0;
    if (zmq_poll(items.data(), static_cast<int>(items.size()), timeout_ms) < 0) return 0;
    if ((items[0].revents & ZMQ_POLLIN) != 0) {
        std::uint64_t drained = 0;
        [[maybe_unused]] const auto got = ::read(wake_fd_, &drained, sizeof drained);
    }
    std::size_t events = 0;
    for (; !pending_.empty(); ++events) {
        const Event event = pending_.front();
        pending_.pop_front();
        sink.on_disconnected(event.connection);
    }
    if (router_ && (items[1].revents & ZMQ_POLLIN) != 0) events += receive_accepted(sink);
    for (std::size_t i = 0; i < order.size(); ++i) {
        const bool told = (items[first + 2 * i].revents & ZMQ_POLLIN) != 0;
        const bool data = (items[first + 2 * i + 1].revents & ZMQ_POLLIN) != 0;
        if (told) events += read_monitor(order[i], sink);
        if (data) events += receive_dialled(order[i], sink);
    }
    return events;
}

ConnectionId ZmqTransport::accepted_connection(const std::string& peer, TransportSink& sink) {
    const auto known = by_peer_.find(peer);
    if (known != by_peer_.end()) return known->second;
    const ConnectionId connection(next_connection_++);
    by_peer_[peer] = connection;
    peers_[connection] = peer;
    sink.on_connected(connection);
    return connection;
}

std::size_t ZmqTransport::receive_accepted(TransportSink& sink) {
    std::size_t events = 0;
    while (events < limits::kMaxEventsPerTick) {
        zmq::message_t peer;
        if (!router_.recv(peer, zmq::recv_flags::dontwait)) break;
        ++events;
        std::vector<zmq::message_t> parts;
        while (router_.get(zmq::sockopt::rcvmore)) {
            zmq::message_t part;
            if (!router_.recv(part, zmq::recv_flags::dontwait)) break;
            if (parts.size() < 2) parts.push_back(std::move(part));
        }
        if (parts.size() != 1) continue;  // not a frame of this protocol
        const ConnectionId connection = accepted_connection(peer.to_string(), sink);
        sink.on_frame(connection,
                      {static_cast<const std::byte*>(parts[0].data()), parts[0].size()});
    }
    return events;
}

std::size_t ZmqTransport::receive_dialled(ConnectionId connection, TransportSink& sink) {
    std::size_t events = 0;
    while (events < limits::kMaxEventsPerTick) {
        const auto found = dialled_.find(connection);  // the sink may close it
        if (found == dialled_.end()) break;
        zmq::message_t message;
        if (!found->second.socket.recv(message, zmq::recv_flags::dontwait)) break;
        ++events;
        if (message.more()) continue;
        sink.on_frame(connection, {static_cast<const std::byte*>(message.data()), message.size()});
    }
    return events;
}

std::size_t ZmqTransport::read_monitor(ConnectionId connection, TransportSink& sink) {
    std::size_t events = 0;
    while (true) {
        const auto found = dialled_.find(connection);
        if (found == dialled_.end()) break;
        zmq::message_t event;
        zmq::message_t address;
        if (!found->second.monitor.recv(event, zmq::recv_flags::dontwait)) break;
        if (event.more() && !found->second.monitor.recv(address, zmq::recv_flags::dontwait)) break;
        if (event.size() < 6) continue;
        std::uint16_t number = 0;
        std::memcpy(&number, event.data(), sizeof number);
        const bool up = number == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        if (found->second.up == up) continue;
        found->second.up = up;
        ++events;
        if (up) {
            sink.on_connected(connection);
        } else {
            sink.on_disconnected(connection);
        }
    }
    return events;
}

}  // namespace

Transport::~Transport() = default;
TransportSink::~TransportSink() = default;

Result<std::unique_ptr<Transport>> make_zmq_transport(const ZmqTransportOptions& options) {
    const int wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_fd < 0) {
        return make_error(StatusCode::resource_exhausted, "create an event descriptor: {}",
                          std::strerror(errno));
    }
    try {
        return std::unique_ptr<Transport>(std::make_unique<ZmqTransport>(options, wake_fd));
    } catch (const zmq::error_t& error) {
        ::close(wake_fd);
        return make_error(StatusCode::resource_exhausted, "create a ZeroMQ context: {}",
                          error.what());
    }
}

}  // namespace molink
