#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <molink/clock.h>
#include <molink/export.h>
#include <molink/link.h>
#include <molink/security.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// The unit that a transport moves: opaque bytes. The channel limits the size to about 16 KiB.
using Frame = std::vector<std::byte>;

/// Receives the events of a transport. poll() makes these calls, on its own thread.
class MOLINK_EXPORT TransportSink {
public:
    virtual ~TransportSink();
    /// A peer that proved to hold `key` wants to connect. Returns whether it may. Only transports
    /// with keys ask, before the connection exists.
    virtual bool permits(const PublicKey& key) = 0;
    /// A peer connected to this node, or a connection that this node made is up, for the first time
    /// or after a cut. `peer` stays the same for as long as the connection is up.
    virtual void on_connected(ConnectionId connection, const PeerIdentity& peer) = 0;
    /// The connection is down. The transport retries a connection that it made until close(). An
    /// accepted connection has ended.
    virtual void on_disconnected(ConnectionId connection) = 0;
    /// The host name of a connection that this node makes was resolved, or could not be: then
    /// `outcome` says why, and the transport tries again until close(). Called again whenever it
    /// was tried.
    virtual void on_resolved(ConnectionId connection, const Status& outcome);
    /// A frame arrived. `bytes` is valid only during the call. Frames of a connection arrive in
    /// order.
    virtual void on_frame(ConnectionId connection, std::span<const std::byte> bytes) = 0;
};

enum class SendOutcome : std::uint8_t {
    accepted,  ///< the frame is queued
    full,      ///< the buffer is full; the caller keeps the frame and may retry after poll()
    closed,    ///< the connection is unknown or down; the caller keeps the frame
};

/// Whom a connection that this node makes is to reach.
struct DialTarget {
    std::string address;
    /// The key that whoever answers must prove to hold. None: a connection without keys, or a
    /// transport without keys.
    std::optional<PublicKey> key;
    /// Introduces this node instead of its own key pair. Only with `key`.
    std::optional<KeyPair> pass;

    DialTarget(std::string to) : address(std::move(to)) {}
    DialTarget(const char* to) : address(to) {}
    DialTarget(std::string to, std::optional<PublicKey> held)
        : address(std::move(to)), key(std::move(held)) {}
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
    /// Errors: invalid_argument (malformed address), unavailable (address in use, or a host name
    /// that cannot be resolved now), not_found (a host name that nobody knows).
    virtual Result<std::string> listen(const std::string& address) = 0;
    /// Begins to connect and retries until it succeeds; on_connected() follows. A host name is
    /// resolved without blocking, each time again, and all its addresses are tried. Errors:
    /// invalid_argument (malformed address, or a key on a transport without keys).
    virtual Result<ConnectionId> connect(const DialTarget& target) = 0;
    /// Queues one frame without blocking. `frame` is moved from only if the outcome is `accepted`.
    virtual SendOutcome send(ConnectionId connection, Frame&& frame) = 0;
    /// Waits up to timeout_us, which must not be negative, for events or wake(). Then delivers the
    /// pending events, up to a fixed number. Returns the number of events.
    virtual std::size_t poll(std::int64_t timeout_us, TransportSink& sink) = 0;
    /// Makes the current or the next poll() return. Thread: any.
    virtual void wake() = 0;
    /// Closes a connection at once. No event of it follows.
    virtual void close(ConnectionId connection) = 0;
    /// The peer of an accepted connection is one that this node works with. Connections that are
    /// not trusted are few, for each source and in all, and make place for new ones.
    virtual void trust(ConnectionId connection) = 0;
};

struct ZmqTransportOptions {
    std::int32_t high_water_mark_frames = 64;  ///< per connection and direction
    std::int64_t max_frame_bytes = 64 << 10;   ///< a larger one closes the connection
    std::int64_t heartbeat_us = 1'000'000;     ///< ZMTP heartbeat; 0: off
    std::int64_t reconnect_us = 100'000;       ///< first retry; doubles up to reconnect_max_us
    std::int64_t reconnect_max_us = 1'000'000;
    /// The node's key pair. All its connections then use CURVE. None: connections are plain.
    std::optional<KeyPair> keys;
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
