// The dialling side of ZeroMQ. ZeroMQ repeats attempts to connect by itself, but it would also
// connect again with the same routing id after a cut. The peer ignores an id that it believes to be
// in use, so every connection gets a socket, and an id, of its own. IMMEDIATE reports a missing
// peer instead of queueing, and LINGER 0 prevents a blocking destructor. ZeroMQ gets no host names:
// resolve_host.cpp says why.
#include "transport/zmq_dialled.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/node_address.h"
#include "security/keys.h"

namespace molink {
namespace {

constexpr int kDialledEvents = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
/// Time for an address of a name to answer. After it the next one is tried.
constexpr int kNextAddressMs = 3000;
/// Time for a handshake, after which the node connects again. A peer that refuses a key says
/// nothing, and may know it a moment later; on a slow link a handshake takes two seconds.
constexpr int kHandshakeMs = 5000;

void set_bytes(zmq::socket_t& socket, int option, const std::array<std::uint8_t, 32>& bytes) {
    if (zmq_setsockopt(socket.handle(), option, bytes.data(), bytes.size()) != 0) {
        throw zmq::error_t();
    }
}

/// A routing id that nobody can guess. It must not begin with zero.
std::array<std::uint8_t, 17> random_routing_id() {
    std::array<std::uint8_t, 17> id{1};
    random_bytes(std::span(id).subspan(1));
    return id;
}

}  // namespace

zmq::socket_t make_zmq_socket(zmq::context_t& context, zmq::socket_type type,
                              const ZmqTransportOptions& options) {
    zmq::socket_t socket(context, type);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::sndhwm, options.high_water_mark_frames);
    socket.set(zmq::sockopt::rcvhwm, options.high_water_mark_frames);
    socket.set(zmq::sockopt::maxmsgsize, options.max_frame_bytes);
    if (options.heartbeat_us > 0) {
        const int interval_ms = static_cast<int>(options.heartbeat_us / 1000);
        socket.set(zmq::sockopt::heartbeat_ivl, interval_ms);
        socket.set(zmq::sockopt::heartbeat_timeout, 30 * interval_ms);
    }
    return socket;
}

zmq::socket_t make_zmq_monitor(zmq::context_t& context, zmq::socket_t& monitored,
                               const std::string& address, int events) {
    if (zmq_socket_monitor(monitored.handle(), address.c_str(), events) != 0) {
        throw zmq::error_t();
    }
    zmq::socket_t monitor(context, zmq::socket_type::pair);
    monitor.set(zmq::sockopt::linger, 0);
    monitor.connect(address);
    return monitor;
}

void stop_zmq_monitor(zmq::socket_t& monitored) {
    if (monitored) zmq_socket_monitor(monitored.handle(), nullptr, 0);
}

std::optional<MonitorEvent> read_zmq_monitor(zmq::socket_t& monitor) {
    zmq::message_t content;
    zmq::message_t address;
    while (monitor.recv(content, zmq::recv_flags::dontwait)) {
        if (content.more() && !monitor.recv(address, zmq::recv_flags::dontwait)) break;
        if (content.size() < 6) continue;
        std::uint16_t event = 0;
        std::int32_t value = 0;
        std::memcpy(&event, content.data(), sizeof event);
        std::memcpy(&value, static_cast<const char*>(content.data()) + sizeof event, sizeof value);
        return MonitorEvent{event, value};
    }
    return std::nullopt;
}

ZmqDialled::ZmqDialled(zmq::context_t& context, const ZmqTransportOptions& options,
                       NameLookup& names, ConnectionId id, DialTarget target)
    : context_(context),
      options_(options),
      names_(names),
      id_(id),
      target_(std::move(target)),
      named_(tcp_part(target_.address, AddressUse::dial)),
      pause_us_(options.reconnect_us) {
    if (named_ && is_ip_address(named_->host)) named_.reset();
    dial();
}

/// Dials the target, or the next address of its host; resolves the host when all were tried.
void ZmqDialled::dial() {
    redial_us_.reset();
    if (!named_) {
        open(target_.address);
    } else if (untried_.empty()) {
        names_.begin(id_, named_->host);
    } else {
        const std::string host = untried_.back();
        untried_.pop_back();
        open(node_address_text({host, named_->port}));
    }
}

void ZmqDialled::open(const std::string& address) {
    zmq::socket_t socket = make_zmq_socket(context_, zmq::socket_type::dealer, options_);
    socket.set(zmq::sockopt::immediate, true);
    socket.set(zmq::sockopt::ipv6, address.find('[') != std::string::npos);
    socket.set(zmq::sockopt::reconnect_ivl, static_cast<int>(options_.reconnect_us / 1000));
    socket.set(zmq::sockopt::reconnect_ivl_max, static_cast<int>(options_.reconnect_max_us / 1000));
    socket.set(zmq::sockopt::handshake_ivl, kHandshakeMs);
    if (named_) socket.set(zmq::sockopt::connect_timeout, kNextAddressMs);
    const auto routing_id = random_routing_id();
    socket.set(zmq::sockopt::routing_id, zmq::buffer(routing_id));
    if (target_.key) {
        const KeyPair& own = target_.pass ? *target_.pass : *options_.keys;
        set_bytes(socket, ZMQ_CURVE_SERVERKEY, target_.key->bytes);
        set_bytes(socket, ZMQ_CURVE_PUBLICKEY, own.public_key.bytes);
        set_bytes(socket, ZMQ_CURVE_SECRETKEY, own.secret_key.bytes);
    }
    zmq::socket_t monitor = make_zmq_monitor(
        context_, socket, fmt::format("inproc://dialled-{}-{}", id_.value, sockets_++),
        named_ ? kDialledEvents | ZMQ_EVENT_CONNECT_RETRIED : kDialledEvents);
    socket.connect(address);
    stop_zmq_monitor(socket_);
    monitor_ = std::move(monitor);
    socket_ = std::move(socket);
    dialled_ = address;
}

/// Gives the present attempt up. The next address of a name is dialled at once. After the last one,
/// and after a cut, there is a pause.
void ZmqDialled::leave(std::int64_t now_us) {
    // Or it would connect with the same id again. It may have given up by itself.
    zmq_disconnect(socket_.handle(), dialled_.c_str());
    if (up_) untried_.clear();
    redial_us_ = now_us;
    if (untried_.empty()) pause();
}

/// Dials `pause_us_` later.
void ZmqDialled::pause() {
    *redial_us_ += pause_us_;
    pause_us_ = std::min(2 * pause_us_, options_.reconnect_max_us);
}

void ZmqDialled::read_monitor(std::int64_t now_us, const std::function<bool(bool up)>& changed) {
    while (const auto event = read_zmq_monitor(monitor_)) {
        const bool up = event->event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
        if (up) {
            pause_us_ = options_.reconnect_us;
        } else {
            leave(now_us);
        }
        if (std::exchange(up_, up) != up && !changed(up)) return;
        if (!up) return;  // what the former socket does from here on does not matter
    }
}

void ZmqDialled::on_resolved(const NameLookup::Addresses& found, std::int64_t now_us) {
    redial_us_ = now_us;
    if (found) {
        untried_.assign(found->rbegin(), found->rend());
    } else {
        pause();
    }
}

void ZmqDialled::redial(std::int64_t now_us) {
    if (!redial_us_ || now_us < *redial_us_) return;
    try {
        dial();
    } catch (const zmq::error_t&) {
        redial_us_ = now_us + pause_us_;  // there are too few descriptors for a socket now
    }
}

}  // namespace molink
