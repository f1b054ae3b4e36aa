#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>

#include <molink/clock.h>
#include <molink/transport.h>

#include "channel/frame_header.h"

namespace molink::fuzz {

/// A transport without a network. The test decides what arrives and when a buffer is full, sees
/// what is sent, and advances the clock. Thread: one.
class ByteTransport final : public Transport, public Clock {
public:
    struct Connection {
        bool dialed = false;
        bool up = false;
    };

    std::int64_t now_us() const override { return now; }
    std::string_view name() const override { return "bytes"; }
    Result<std::string> listen(const std::string& address) override { return address; }
    Result<ConnectionId> connect(const DialTarget& target) override;
    SendOutcome send(ConnectionId connection, Frame&& frame) override;
    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override;
    void wake() override {}
    void close(ConnectionId connection) override { open.erase(connection); }
    void trust(ConnectionId) override {}

    /// Lets a peer connect. Returns its connection.
    ConnectionId accept();
    /// Queue what the next poll() reports, in order.
    void bring_up(ConnectionId connection);
    void bring_down(ConnectionId connection);
    void arrive(ConnectionId connection, Frame frame);

    std::int64_t now = 1'000'000;
    bool full = false;
    std::map<ConnectionId, Connection> open;
    std::function<void(ConnectionId, const FrameHeader&)> on_sent;

private:
    struct Event {
        enum class Kind { up, down, frame } kind;
        ConnectionId connection;
        Frame frame;
    };
    std::deque<Event> events_;
    std::uint64_t next_ = 1;
};

}  // namespace molink::fuzz
