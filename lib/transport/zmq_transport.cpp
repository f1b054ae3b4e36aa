// The ZeroMQ transport. One ROUTER accepts connections, and a ZmqDoor watches who makes them; each
// dialled connection is a ZmqDialled. ROUTER_MANDATORY reports a full or missing peer instead of
// queueing without bound. A peer cannot take over the routing id of another one (ROUTER_HANDOVER is
// off), and a connection is what one socket carries: a message from another socket with the same
// routing id begins a new connection. No other module uses ZeroMQ.
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
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
#include "base/node_address.h"
#include "transport/name_lookup.h"
#include "transport/zmq_dialled.h"
#include "transport/zmq_door.h"

namespace molink {
namespace {

/// Connections that the kernel accepts ahead. Floods fill it; an honest peer then waits for
/// seconds.
constexpr int kBacklog = 1024;

/// An accepted connection.
struct Accepted {
    std::string routing_id;
    std::string key;      // of the peer, as text; empty without keys
    int descriptor = -1;  // perhaps closed
    UntrustedPeers::Socket socket;
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
        names_.reset();  // it wakes this transport
        stop_zmq_monitor(router_);
        door_.reset();
        router_.close();
        context_.close();
        ::close(wake_fd_);
    }

    std::string_view name() const override { return "zmq"; }
    Result<std::string> listen(const std::string& address) override;
    Result<ConnectionId> connect(const DialTarget& target) override;
    SendOutcome send(ConnectionId connection, Frame&& frame) override;
    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override;
    void close(ConnectionId connection) override;

    void trust(ConnectionId connection) override {
        const auto found = accepted_.find(connection);
        if (found != accepted_.end()) door_->trust(found->second.socket);
    }

    void wake() override {
        const std::uint64_t one = 1;
        // If the counter is full, a wake is already pending.
        [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
    }

private:
    Result<std::string> bind(const std::string& address);
    std::size_t poll_sockets(std::int64_t timeout_us, TransportSink& sink);
    long poll_timeout_ms(std::int64_t timeout_us) const;
    std::size_t receive_accepted(TransportSink& sink);
    std::size_t receive_dialled(ConnectionId connection, TransportSink& sink);
    std::size_t read_monitor(ConnectionId connection, TransportSink& sink);
    std::size_t take_names(std::int64_t now_us, TransportSink& sink);
    SendOutcome send_accepted(const std::string& peer, ConnectionId connection, Frame&& frame);
    ConnectionId accepted_connection(const std::string& peer, zmq::message_t& message,
                                     TransportSink& sink);
    void drop_accepted(ConnectionId connection);

    const ZmqTransportOptions options_;
    int wake_fd_;
    zmq::context_t context_{1};
    zmq::socket_t router_;
    std::unique_ptr<ZmqDoor> door_;  // since the first listen()
    std::unique_ptr<NameLookup> names_ = std::make_unique<NameLookup>(
        [this] { wake(); },
        [](const std::string& host) { return resolve_host(host, AddressUse::dial); });
    std::map<ConnectionId, ZmqDialled> dialled_;
    std::map<std::string, ConnectionId> by_routing_id_;
    std::map<ConnectionId, Accepted> accepted_;
    std::deque<ConnectionId> cut_;  // the sink is told by the next poll()
    std::uint64_t next_connection_ = 1;
};

/// Host names are resolved here: the caller has no loop yet that they could stop.
Result<std::string> ZmqTransport::listen(const std::string& address) {
    MOLINK_RETURN_IF_ERROR(check_node_address("listen", address, AddressUse::listen));
    if (ipc_in_use(address)) {
        return make_error(StatusCode::unavailable, "listen at {}: the address is in use", address);
    }
    const auto tcp = tcp_part(address, AddressUse::listen);
    if (!tcp) return bind(address);
    const auto hosts = resolve_host(tcp->host, AddressUse::listen);
    if (!hosts) return hosts.error().with_context("listen at " + address);
    Result<std::string> bound = bind(node_address_text({hosts->front(), tcp->port}));
    for (std::size_t i = 1; i < hosts->size() && !bound; ++i) {
        bound = bind(node_address_text({(*hosts)[i], tcp->port}));
    }
    return bound;
}

/// Listens at an address without a host name.
Result<std::string> ZmqTransport::bind(const std::string& address) {
    try {
        zmq::socket_t router = make_zmq_socket(context_, zmq::socket_type::router, options_);
        router.set(zmq::sockopt::router_mandatory, true);
        router.set(zmq::sockopt::backlog, kBacklog);
        router.set(zmq::sockopt::ipv6, address.find('[') != std::string::npos);
        if (door_ == nullptr) door_ = std::make_unique<ZmqDoor>(context_, options_);
        zmq::socket_t monitor = door_->prepare(router);
        router.bind(address);
        std::string resolved = router.get(zmq::sockopt::last_endpoint);
        while (!resolved.empty() && resolved.back() == '\0') resolved.pop_back();
        stop_zmq_monitor(router_);
        router_ = std::move(router);
        door_->watch(std::move(monitor));
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

Result<ConnectionId> ZmqTransport::connect(const DialTarget& target) {
    if (target.key.has_value() != options_.keys.has_value()) {
        return invalid_argument("dial '{}' {} a key: this node has {}", target.address,
                                target.key ? "with" : "without",
                                options_.keys ? "a key pair" : "no key pair");
    }
    MOLINK_RETURN_IF_ERROR(check_node_address("dial", target.address, AddressUse::dial));
    try {
        const ConnectionId connection(next_connection_++);
        dialled_.try_emplace(connection, context_, options_, *names_, connection, target);
        return connection;
    } catch (const zmq::error_t& error) {
        if (error.num() == EMFILE || error.num() == ENFILE || error.num() == ENOMEM) {
            return make_error(StatusCode::resource_exhausted, "dial '{}': {}", target.address,
                              error.what());
        }
        return invalid_argument("dial '{}': {}", target.address, error.what());
    }
}

SendOutcome ZmqTransport::send(ConnectionId connection, Frame&& frame) {
    const auto accepted = accepted_.find(connection);
    if (accepted != accepted_.end()) {
        return send_accepted(accepted->second.routing_id, connection, std::move(frame));
    }
    const auto found = dialled_.find(connection);
    if (found == dialled_.end() || !found->second.up()) return SendOutcome::closed;
    const int sent =
        zmq_send(found->second.socket().handle(), frame.data(), frame.size(), ZMQ_DONTWAIT);
    return sent >= 0 ? SendOutcome::accepted : SendOutcome::full;
}

SendOutcome ZmqTransport::send_accepted(const std::string& peer, ConnectionId connection,
                                        Frame&& frame) {
    void* socket = router_.handle();
    if (zmq_send(socket, peer.data(), peer.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() == EAGAIN) return SendOutcome::full;
        drop_accepted(connection);
        cut_.push_back(connection);
        return SendOutcome::closed;
    }
    const int sent = zmq_send(socket, frame.data(), frame.size(), ZMQ_DONTWAIT);
    return sent >= 0 ? SendOutcome::accepted : SendOutcome::full;
}

void ZmqTransport::drop_accepted(ConnectionId connection) {
    const auto found = accepted_.find(connection);
    if (found == accepted_.end()) return;
    by_routing_id_.erase(found->second.routing_id);
    accepted_.erase(found);
}

void ZmqTransport::close(ConnectionId connection) {
    const auto found = accepted_.find(connection);
    if (found != accepted_.end()) door_->end(found->second.socket);
    drop_accepted(connection);
    dialled_.erase(connection);
    std::erase(cut_, connection);
}

std::size_t ZmqTransport::poll(std::int64_t timeout_us, TransportSink& sink) {
    try {
        return poll_sockets(timeout_us, sink);
    } catch (const zmq::error_t&) {
        return 1;  // interrupted by a signal; pending events remain for the next call
    }
}

/// Returns how long poll() may wait: until the next connection is dialled again at most.
long ZmqTransport::poll_timeout_ms(std::int64_t timeout_us) const {
    if (!cut_.empty()) return 0;
    const std::int64_t now_us = steady_clock().now_us();
    for (const auto& [connection, dialled] : dialled_) {
        if (!dialled.redial_us()) continue;
        timeout_us = std::clamp<std::int64_t>(*dialled.redial_us() - now_us, 0, timeout_us);
    }
    return static_cast<long>((timeout_us + 999) / 1000);
}

std::size_t ZmqTransport::poll_sockets(std::int64_t timeout_us, TransportSink& sink) {
    std::vector<zmq::pollitem_t> items;
    std::vector<ConnectionId> order;
    items.push_back({nullptr, wake_fd_, ZMQ_POLLIN, 0});
    for (auto& [connection, dialled] : dialled_) {
        if (!dialled.has_socket()) continue;  // its host is being resolved
        items.push_back({dialled.monitor().handle(), 0, ZMQ_POLLIN, 0});
        items.push_back({dialled.socket().handle(), 0, ZMQ_POLLIN, 0});
        order.push_back(connection);
    }
    const std::size_t router = items.size();
    if (router_) items.push_back({router_.handle(), 0, ZMQ_POLLIN, 0});
    if (door_ != nullptr) door_->add_poll_items(items);
    if (zmq_poll(items.data(), static_cast<int>(items.size()), poll_timeout_ms(timeout_us)) < 0) {
        return 0;
    }
    if ((items[0].revents & ZMQ_POLLIN) != 0) {
        std::uint64_t drained = 0;
        [[maybe_unused]] const auto got = ::read(wake_fd_, &drained, sizeof drained);
    }
    std::size_t events = 0;
    for (; !cut_.empty(); ++events) {
        const ConnectionId connection = cut_.front();
        cut_.pop_front();
        sink.on_disconnected(connection);
    }
    const std::int64_t now_us = steady_clock().now_us();
    if (door_ != nullptr) door_->handle(sink, now_us);
    if (router_ && (items[router].revents & ZMQ_POLLIN) != 0) events += receive_accepted(sink);
    for (std::size_t i = 0; i < order.size(); ++i) {
        const bool told = (items[1 + 2 * i].revents & ZMQ_POLLIN) != 0;
        const bool data = (items[2 + 2 * i].revents & ZMQ_POLLIN) != 0;
        if (told) events += read_monitor(order[i], sink);
        if (data) events += receive_dialled(order[i], sink);
    }
    events += take_names(now_us, sink);
    for (auto& [connection, dialled] : dialled_) dialled.redial(now_us);
    return events;
}

std::size_t ZmqTransport::take_names(std::int64_t now_us, TransportSink& sink) {
    std::size_t events = 0;
    for (const NameLookup::Answer& answer : names_->take()) {
        const auto found = dialled_.find(answer.connection);  // it may be closed
        if (found == dialled_.end()) continue;
        ++events;
        found->second.on_resolved(answer.addresses, now_us);
        sink.on_resolved(answer.connection, answer.addresses.status());
    }
    return events;
}

/// Returns the connection that a message came on; a new one, of which the sink is told, when it is
/// not from the socket and the key that are known by this routing id.
ConnectionId ZmqTransport::accepted_connection(const std::string& peer, zmq::message_t& message,
                                               TransportSink& sink) {
    const int descriptor = ZmqDoor::descriptor_of(message);
    const std::string_view key = ZmqDoor::key_of(message);
    const auto known = by_routing_id_.find(peer);
    if (known != by_routing_id_.end()) {
        const ConnectionId former = known->second;
        const Accepted& accepted = accepted_.at(former);
        if (accepted.descriptor == descriptor && accepted.key == key) return former;
        drop_accepted(former);
        sink.on_disconnected(former);
    }
    const ConnectionId connection(next_connection_++);
    by_routing_id_[peer] = connection;
    accepted_[connection] = {peer, std::string(key), descriptor, door_->accepted_at(descriptor)};
    PeerIdentity identity;
    if (const auto parsed = parse_public_key(key)) identity.key = *parsed;
    sink.on_connected(connection, identity);
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
        const ConnectionId connection = accepted_connection(peer.to_string(), parts[0], sink);
        sink.on_frame(connection,
                      {static_cast<const std::byte*>(parts[0].data()), parts[0].size()});
    }
    return events;
}

std::size_t ZmqTransport::receive_dialled(ConnectionId connection, TransportSink& sink) {
    std::size_t events = 0;
    while (events < limits::kMaxEventsPerTick) {
        const auto found = dialled_.find(connection);  // the sink may close it
        if (found == dialled_.end() || !found->second.up()) break;
        zmq::message_t message;
        if (!found->second.socket().recv(message, zmq::recv_flags::dontwait)) break;
        ++events;
        if (message.more()) continue;
        sink.on_frame(connection, {static_cast<const std::byte*>(message.data()), message.size()});
    }
    return events;
}

std::size_t ZmqTransport::read_monitor(ConnectionId connection, TransportSink& sink) {
    const auto found = dialled_.find(connection);  // the sink may have closed it
    if (found == dialled_.end()) return 0;
    std::size_t events = 0;
    const PeerIdentity identity{found->second.target().key};
    found->second.read_monitor(steady_clock().now_us(), [&](bool up) {
        ++events;
        if (up) {
            sink.on_connected(connection, identity);
        } else {
            sink.on_disconnected(connection);
        }
        return dialled_.contains(connection);
    });
    return events;
}

}  // namespace

Transport::~Transport() = default;
TransportSink::~TransportSink() = default;
void TransportSink::on_resolved(ConnectionId, const Status&) {}

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
