#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <molink/clock.h>
#include <molink/export.h>
#include <molink/link.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// What a transport moves: one frame, at most limits of the channel (about 16 KiB), opaque bytes.
using Frame = std::vector<std::byte>;

/// Receives what happened on a transport, during poll() and on its thread.
class MOLINK_EXPORT TransportSink {
public:
    virtual ~TransportSink();
    /// A peer dialled us, or a connection we dialled is up (also: up again after a cut).
    virtual void on_connected(ConnectionId connection) = 0;
    /// The connection is down. A dialled one is retried by the transport until close(); an accepted
    /// one is over.
    virtual void on_disconnected(ConnectionId connection) = 0;
    /// A frame arrived; `bytes` is valid for the call only. Order within a connection is kept.
    virtual void on_frame(ConnectionId connection, std::span<const std::byte> bytes) = 0;
};

enum class SendOutcome : std::uint8_t {
    accepted,  ///< handed to the connection
    full,      ///< its buffer is full; try again after poll(); the frame was not taken
    closed,    ///< no such connection, or it is down; the frame was not taken
};

/// Moves frames between nodes. Unreliable across a reset (what was under way may be lost), ordered
/// and whole otherwise; reliability is the channel's business. Addresses are ZeroMQ-like:
/// "tcp://127.0.0.1:7100", "ipc:///path", "inproc://name".
///
/// Thread: everything from the one thread that owns the node, except wake(), which any thread may
/// call.
class MOLINK_EXPORT Transport {
public:
    virtual ~Transport();
    /// Short name for logs. Static storage.
    virtual std::string_view name() const = 0;
    /// Accepts connections at `address` ("tcp://127.0.0.1:*" lets the system choose the port).
    /// Returns the address as others on this host would dial it.
    /// Errors: invalid_argument (form), unavailable (in use, with the address).
    virtual Result<std::string> listen(const std::string& address) = 0;
    /// Begins to dial; on_connected follows when the peer is there. Retries by itself.
    virtual Result<ConnectionId> connect(const std::string& address) = 0;
    /// Queues one frame without blocking. Takes `frame` only when accepted.
    virtual SendOutcome send(ConnectionId connection, Frame&& frame) = 0;
    /// Waits up to timeout_us (0: not at all; never negative) for events or wake(), then delivers
    /// all that is there, in bounded number. Returns the number of events.
    virtual std::size_t poll(std::int64_t timeout_us, TransportSink& sink) = 0;
    /// Ends a poll() under way or the next one. Thread: any.
    virtual void wake() = 0;
    /// Drops a connection at once; no event follows.
    virtual void close(ConnectionId connection) = 0;
};

struct ZmqTransportOptions {
    std::int32_t high_water_mark_frames =
        64;  ///< per connection and direction; backstop of the window
    std::int64_t max_frame_bytes = 64
                                   << 10;   ///< larger frames from the network close the connection
    std::int64_t heartbeat_us = 1'000'000;  ///< ZMTP heartbeat; 0: off
    std::int64_t reconnect_us = 100'000;    ///< first retry; doubles up to reconnect_max_us
    std::int64_t reconnect_max_us = 1'000'000;
};

/// ZeroMQ: tcp:// and ipc://. Errors: resource_exhausted when no context can be made.
MOLINK_EXPORT Result<std::unique_ptr<Transport>> make_zmq_transport(
    const ZmqTransportOptions& options = {});

/// Queues inside one process, shared by all transports made from one hub. inproc:// addresses.
class MOLINK_EXPORT InprocHub {
public:
    virtual ~InprocHub();
    /// A transport of one node. Thread: any.
    virtual std::unique_ptr<Transport> make_transport() = 0;
};
MOLINK_EXPORT std::shared_ptr<InprocHub> make_inproc_hub();

/// Wraps another transport and adds the bandwidth and delay of `model` to what is sent, per
/// connection, in user space. `clock` must outlive it.
MOLINK_EXPORT std::unique_ptr<Transport> make_shaped_transport(std::unique_ptr<Transport> inner,
                                                               const LinkModel& model,
                                                               const Clock& clock);

}  // namespace molink
