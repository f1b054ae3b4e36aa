// The accepting side of ZeroMQ. With keys, CURVE proves that a peer holds a key, and ZAP asks here
// whether that key may connect; a refused peer is cut off without an answer (status 300). ZeroMQ
// itself accepts without limit and has no call that ends a connection, so the monitor tells the
// descriptors of accepted connections and shutdown() ends them. A descriptor may be another
// connection's by then; the inode of the socket tells, and a wrong guess costs a reset that the
// channel heals.
#include "transport/zmq_door.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/peer_limits.h"
#include "security/keys.h"
#include "transport/zmq_dialled.h"

namespace molink {
namespace {

constexpr int kDoorEvents = ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED;
constexpr const char* kZapAddress = "inproc://zeromq.zap.01";
constexpr std::int64_t kLookEveryUs = 100'000;
constexpr std::string_view kZapVersion = "1.0";
// Frames of a ZAP request: version, request id, domain, address, routing id, mechanism, key.
constexpr std::size_t kRequestFrames = 7;

/// Returns the address of the machine at the other end, of IPv6 its first 64 bits; "local" on this
/// one without IP.
std::string source_of(int descriptor) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return "";
    const void* address = nullptr;
    if (peer.ss_family == AF_INET) {
        address = &reinterpret_cast<const sockaddr_in*>(&peer)->sin_addr;
    } else if (peer.ss_family == AF_INET6) {
        in6_addr& v6 = reinterpret_cast<sockaddr_in6*>(&peer)->sin6_addr;
        // A machine usually has a whole /64 to itself.
        if (!IN6_IS_ADDR_V4MAPPED(&v6)) std::fill(v6.s6_addr + 8, v6.s6_addr + 16, 0);
        address = &v6;
    }
    if (address == nullptr) return "local";
    const char* written = ::inet_ntop(peer.ss_family, address, text.data(), text.size());
    return written == nullptr ? "" : written;
}

/// Returns what tells the local end of a socket from that of others: the port, or the path.
std::string local_end(int descriptor) {
    sockaddr_storage local{};
    socklen_t size = sizeof local;
    if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&local), &size) != 0) return "";
    if (local.ss_family == AF_INET) {
        return fmt::format("port {}", reinterpret_cast<const sockaddr_in*>(&local)->sin_port);
    }
    if (local.ss_family == AF_INET6) {
        return fmt::format("port {}", reinterpret_cast<const sockaddr_in6*>(&local)->sin6_port);
    }
    const auto* bytes = reinterpret_cast<const char*>(&local);
    return "path " + std::string(bytes, size);
}

void send_frame(zmq::socket_t& socket, std::string_view text, bool more) {
    socket.send(zmq::buffer(text), more ? zmq::send_flags::sndmore | zmq::send_flags::dontwait
                                        : zmq::send_flags::dontwait);
}

}  // namespace

ZmqDoor::ZmqDoor(zmq::context_t& context, const ZmqTransportOptions& options)
    : context_(context), options_(options) {
    if (!options.keys) return;
    requests_ = zmq::socket_t(context, zmq::socket_type::rep);
    requests_.set(zmq::sockopt::linger, 0);
    requests_.bind(kZapAddress);  // without it ZeroMQ would admit every key
}

zmq::socket_t ZmqDoor::prepare(zmq::socket_t& router) {
    if (options_.keys) {
        const auto& secret = options_.keys->secret_key.bytes;
        router.set(zmq::sockopt::curve_server, true);
        if (zmq_setsockopt(router.handle(), ZMQ_CURVE_SECRETKEY, secret.data(), secret.size()) !=
            0) {
            throw zmq::error_t();
        }
    }
    return make_zmq_monitor(context_, router, fmt::format("inproc://door-{}", prepared_++),
                            kDoorEvents);
}

void ZmqDoor::add_poll_items(std::vector<zmq::pollitem_t>& items) {
    if (monitor_) items.push_back({monitor_.handle(), 0, ZMQ_POLLIN, 0});
    if (requests_) items.push_back({requests_.handle(), 0, ZMQ_POLLIN, 0});
}

void ZmqDoor::handle(TransportSink& sink, std::int64_t now_us) {
    for (std::size_t i = 0; monitor_ && i < limits::kMaxEventsPerTick; ++i) {
        const auto event = read_zmq_monitor(monitor_);
        if (!event) break;
        if (event->event == ZMQ_EVENT_LISTENING) local_ = local_end(event->value);
        if (event->event == ZMQ_EVENT_ACCEPTED) on_accepted(event->value, now_us);
        if (event->event == ZMQ_EVENT_DISCONNECTED) untrusted_.remove(event->value);
    }
    for (std::size_t i = 0; i < limits::kMaxEventsPerTick && answer_request(sink); ++i) {
    }
    for (const auto& socket : untrusted_.expire(now_us, limits::kHelloWithinUs)) end(socket);
    end_talkative(now_us);
}

/// Ends untrusted connections that have sent more than any handshake and hello needs. ZeroMQ hands
/// a message over when it has all its parts, and bounds neither their number nor their sum.
void ZmqDoor::end_talkative(std::int64_t now_us) {
    if (now_us < next_look_us_) return;
    next_look_us_ = now_us + kLookEveryUs;
    for (const UntrustedPeers::Socket& socket : untrusted_.sockets()) {
        tcp_info info{};
        socklen_t size = sizeof info;
        if (::getsockopt(socket.descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
            info.tcpi_bytes_received > limits::kMaxUntrustedBytes) {
            end(socket);
        }
    }
}

/// The event may be late: the connection may be gone, and its descriptor may belong to anything in
/// this process by now. Only the local end of a socket tells that it was accepted here.
void ZmqDoor::on_accepted(int descriptor, std::int64_t now_us) {
    const UntrustedPeers::Socket socket = accepted_at(descriptor);
    if (socket.descriptor < 0) return;
    const auto excess = untrusted_.add(socket, source_of(descriptor), now_us);
    if (excess) end(*excess);
}

/// Answers a request of ZAP. Returns false when there is none.
bool ZmqDoor::answer_request(TransportSink& sink) {
    if (!requests_) return false;
    std::vector<zmq::message_t> frames;
    do {
        zmq::message_t frame;
        if (!requests_.recv(frame, zmq::recv_flags::dontwait)) return false;
        frames.push_back(std::move(frame));
    } while (frames.back().more());
    std::optional<PublicKey> key;
    if (frames.size() == kRequestFrames && frames[5].to_string_view() == "CURVE" &&
        frames[6].size() == PublicKey().bytes.size()) {
        std::memcpy(key.emplace().bytes.data(), frames[6].data(), frames[6].size());
    }
    const bool permitted = key && sink.permits(*key);
    send_frame(requests_, kZapVersion, true);
    send_frame(requests_, frames.size() > 1 ? frames[1].to_string_view() : "", true);
    send_frame(requests_, permitted ? "200" : "300", true);
    send_frame(requests_, "", true);
    send_frame(requests_, permitted ? key_text(*key) : "", true);
    send_frame(requests_, "", false);
    return true;
}

int ZmqDoor::descriptor_of(zmq::message_t& message) {
    return zmq_msg_get(message.handle(), ZMQ_SRCFD);
}

std::string_view ZmqDoor::key_of(zmq::message_t& message) {
    const char* user = zmq_msg_gets(message.handle(), "User-Id");
    return user == nullptr ? "" : user;
}

UntrustedPeers::Socket ZmqDoor::accepted_at(int descriptor) const {
    struct stat info {};
    if (descriptor < 0 || ::fstat(descriptor, &info) != 0 || !S_ISSOCK(info.st_mode)) return {};
    if (local_end(descriptor) != local_) return {};
    return {descriptor, info.st_ino};
}

void ZmqDoor::end(UntrustedPeers::Socket socket) {
    untrusted_.remove(socket.descriptor);
    if (socket.descriptor < 0 || !(accepted_at(socket.descriptor) == socket)) return;
    ::shutdown(socket.descriptor, SHUT_RDWR);
}

}  // namespace molink
