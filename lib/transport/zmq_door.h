#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include <molink/transport.h>

#include "transport/untrusted_peers.h"

namespace molink {

/// Watches who connects to a ROUTER: asks the sink about keys (ZAP, RFC 27) and bounds the
/// connections that are not trusted. Members throw zmq::error_t. Thread: the node's loop.
class ZmqDoor {
public:
    /// `context` and `options` must outlive it.
    ZmqDoor(zmq::context_t& context, const ZmqTransportOptions& options);

    /// Prepares a router that is not bound yet. Returns its monitor.
    zmq::socket_t prepare(zmq::socket_t& router);
    /// Watches a router that was prepared and is bound, and no other one from now on.
    void watch(zmq::socket_t monitor) { monitor_ = std::move(monitor); }

    void add_poll_items(std::vector<zmq::pollitem_t>& items);
    /// Handles what add_poll_items() waited for, and ends connections whose time is up.
    void handle(TransportSink& sink, std::int64_t now_us);

    /// Returns the descriptor of the connection that a message came on. It may be closed by now.
    static int descriptor_of(zmq::message_t& message);
    /// Returns the key of the peer that sent a message, as text; empty without keys.
    static std::string_view key_of(zmq::message_t& message);
    /// Describes a descriptor, if it is that of a connection that was accepted here. One that is
    /// closed, or by now belongs to anything else in this process, gives a default one.
    UntrustedPeers::Socket accepted_at(int descriptor) const;

    void trust(UntrustedPeers::Socket socket) { untrusted_.trust(socket); }
    /// Ends a connection, unless its descriptor belongs to another one by now.
    void end(UntrustedPeers::Socket socket);

private:
    void on_accepted(int descriptor, std::int64_t now_us);
    bool answer_request(TransportSink& sink);
    void end_talkative(std::int64_t now_us);

    zmq::context_t& context_;
    const ZmqTransportOptions& options_;
    std::uint64_t prepared_ = 0;  // routers
    zmq::socket_t requests_;      // of ZAP; only with keys
    zmq::socket_t monitor_;
    std::string local_;  // what all accepted connections have as their local end
    UntrustedPeers untrusted_;
    std::int64_t next_look_us_ = 0;
};

}  // namespace molink
