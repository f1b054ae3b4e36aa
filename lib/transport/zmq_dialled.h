#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <zmq.hpp>

#include <molink/address.h>
#include <molink/transport.h>

#include "transport/name_lookup.h"

namespace molink {

/// A socket of a context with the options that all sockets have. Errors: throws zmq::error_t.
zmq::socket_t make_zmq_socket(zmq::context_t& context, zmq::socket_type type,
                              const ZmqTransportOptions& options);

/// One event of a socket's monitor: what happened, and its number.
struct MonitorEvent {
    int event = 0;
    int value = 0;
};
/// Makes a monitor of `events` at `address` of the context. Errors: throws zmq::error_t.
zmq::socket_t make_zmq_monitor(zmq::context_t& context, zmq::socket_t& monitored,
                               const std::string& address, int events);
/// Stops the monitor of a socket, if there is a socket. Must come before its reader is closed: the
/// I/O thread waits for ever for a reader that is gone.
void stop_zmq_monitor(zmq::socket_t& monitored);
/// Reads the next event without waiting.
std::optional<MonitorEvent> read_zmq_monitor(zmq::socket_t& monitor);

/// A dialled connection: a DEALER with a routing id that nobody can guess, and its monitor. After a
/// cut it becomes a new socket with another id, because the peer may not know yet that the former
/// one is gone. A host name is resolved before each round over its addresses; until then there is
/// no socket. Members throw zmq::error_t. Thread: the node's loop.
class ZmqDialled {
public:
    /// `context`, `options` and `names` must outlive it.
    ZmqDialled(zmq::context_t& context, const ZmqTransportOptions& options, NameLookup& names,
               ConnectionId id, DialTarget target);

    ~ZmqDialled() { stop_zmq_monitor(socket_); }
    ZmqDialled(const ZmqDialled&) = delete;
    ZmqDialled& operator=(const ZmqDialled&) = delete;

    bool has_socket() const { return static_cast<bool>(socket_); }
    zmq::socket_t& socket() { return socket_; }
    zmq::socket_t& monitor() { return monitor_; }
    const DialTarget& target() const { return target_; }
    bool up() const { return up_; }
    /// Reads the monitor's events. Calls `changed` with up() when that changes; the call may
    /// destroy this object and then returns false.
    void read_monitor(std::int64_t now_us, const std::function<bool(bool up)>& changed);
    /// What `names` found for the host of the target. The first address is dialled by redial().
    void on_resolved(const NameLookup::Addresses& found, std::int64_t now_us);
    /// Dials again if it is time.
    void redial(std::int64_t now_us);
    /// When redial() is due; none: not at all.
    std::optional<std::int64_t> redial_us() const { return redial_us_; }

private:
    void open(const std::string& address);
    void dial();
    void leave(std::int64_t now_us);
    void pause();

    zmq::context_t& context_;
    const ZmqTransportOptions& options_;
    NameLookup& names_;
    ConnectionId id_;
    DialTarget target_;
    std::optional<TcpAddress> named_;   // of the target, if its host is a name
    std::vector<std::string> untried_;  // IP addresses of the name, the next one last
    std::string dialled_;               // the address that the socket dials
    zmq::socket_t socket_;
    zmq::socket_t monitor_;
    std::uint64_t sockets_ = 0;  // made so far
    bool up_ = false;
    std::int64_t pause_us_;
    std::optional<std::int64_t> redial_us_;
};

}  // namespace molink
