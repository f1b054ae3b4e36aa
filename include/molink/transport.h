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

/// The unit that a transport moves: opaque bytes. The channel limits the size to about 16 KiB.
using Frame = std::vector<std::byte>;

/// Receives the events of a transport. poll() makes these calls, on its own thread.
class MOLINK_EXPORT TransportSink {
public:
    virtual ~TransportSink();
    /// A peer connected to this node, or a connection that this node made is up, for the first time
    /// or after a cut.
    virtual void on_connected(ConnectionId connection) = 0;
    /// The connection is down. The transport retries a connection that it made until close(). An
    /// accepted connection has ended.
    virtual void on_disconnected(ConnectionId connection) = 0;
    /// A frame arrived. `bytes` is valid only during the call. Frames of a connection arrive in
    /// order.
    virtual void on_frame(ConnectionId connection, std::span<const std::byte> bytes) = 0;
};

enum class SendOutcome : std::uint8_t {
    accepted,  ///< the frame is queued
    full,      ///< the buffer is full; the caller keeps the frame and may retry after poll()
    closed,    ///< the connection is unknown or down; the caller keeps the frame
};

/// Moves frames between nodes. Frames arrive complete and in order. A reset may lose frames that
/// are under way; the channel sends them again. Addresses follow ZeroMQ: "tcp://127.0.0.1:7100",
/// "ipc:///path", "inproc://name".
///
/// Thread: only the thread that owns the node, except wake(), which any thread may call.
class MOLINK_EXPORT Transport {
public:
    virtual ~Transport();
    /// Short name for logs. Static storage.
    virtual std::string_view name() const = 0;
    /// Accepts connections at `address`. "tcp://127.0.0.1:*" lets the system choose the port.
    /// Returns the address that others on this host can connect to.
    /// Errors: invalid_argument (malformed address), unavailable (address in use).
    virtual Result<std::string> listen(const std::string& address) = 0;
    /// Begins to connect and retries until it succeeds; on_connected() follows.
    virtual Result<ConnectionId> connect(const std::string& address) = 0;
    /// Queues one frame without blocking. `frame` is moved from only if the outcome is `accepted`.
    virtual SendOutcome send(ConnectionId connection, Frame&& frame) = 0;
    /// Waits up to timeout_us, which must not be negative, for events or wake(). Then delivers the
    /// pending events, up to a fixed number. Returns the number of events.
    virtual std::size_t poll(std::int64_t timeout_us, TransportSink& sink) = 0;
    /// Makes the current or the next poll() return. Thread: any.
    virtual void wake() = 0;
    /// Closes a connection at once. No event of it follows.
    virtual void close(ConnectionId connection) = 0;
};

struct ZmqTransportOptions {
    std::int32_t high_water_mark_frames = 64;  ///< per connection and direction
    std::int64_t max_frame_bytes = 64 << 10;   ///< a larger one closes the connection
    std::int64_t heartbeat_us = 1'000'000;     ///< ZMTP heartbeat; 0: off
    std::int64_t reconnect_us = 100'000;       ///< first retry; doubles up to reconnect_max_us
    std::int64_t reconnect_max_us = 1'000'000;
};

/// Makes a ZeroMQ transport for tcp:// and ipc:// addresses. Errors: resource_exhausted when no
/// ZeroMQ context can be made.
MOLINK_EXPORT Result<std::unique_ptr<Transport>> make_zmq_transport(
    const ZmqTransportOptions& options = {});

/// Connects transports inside one process, through inproc:// addresses. Transports of one hub can
/// reach each other.
class MOLINK_EXPORT InprocHub {
public:
    virtual ~InprocHub();
    /// Makes the transport of one node. Thread: any.
    virtual std::unique_ptr<Transport> make_transport() = 0;
};
MOLINK_EXPORT std::shared_ptr<InprocHub> make_inproc_hub();

/// Wraps another transport and applies the bandwidth and delay of `model` to the frames sent on
/// each connection, in user space. `clock` must outlive the transport.
MOLINK_EXPORT std::unique_ptr<Transport> make_shaped_transport(std::unique_ptr<Transport> inner,
                                                               const LinkModel& model,
                                                               const Clock& clock);

}  // namespace molink
