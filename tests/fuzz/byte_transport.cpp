// Checks that the node's own parser accepts every frame that the node sends. A send on a connection
// that is closed or down returns `closed`, as in real transports.
#include "byte_transport.h"

#include "fuzz_input.h"

namespace molink::fuzz {

Result<ConnectionId> ByteTransport::connect(const DialTarget&) {
    const ConnectionId id(next_++);
    open[id].dialed = true;
    return id;
}

SendOutcome ByteTransport::send(ConnectionId connection, Frame&& frame) {
    const auto found = open.find(connection);
    if (found == open.end() || !found->second.up) return SendOutcome::closed;
    if (full) return SendOutcome::full;
    ByteSpan payload;
    const auto header = decode_frame(frame, payload);
    FUZZ_CHECK(header.has_value());
    if (on_sent) on_sent(connection, *header);
    frame = {};
    return SendOutcome::accepted;
}

std::size_t ByteTransport::poll(std::int64_t, TransportSink& sink) {
    std::size_t count = 0;
    while (!events_.empty()) {
        const Event event = std::move(events_.front());
        events_.pop_front();
        const auto found = open.find(event.connection);
        if (found == open.end()) continue;
        ++count;
        switch (event.kind) {
            case Event::Kind::up:
                found->second.up = true;
                sink.on_connected(event.connection, {});
                break;
            case Event::Kind::down:
                if (!found->second.up) break;
                found->second.up = false;
                if (!found->second.dialed) open.erase(found);
                sink.on_disconnected(event.connection);
                break;
            case Event::Kind::frame:
                if (found->second.up) sink.on_frame(event.connection, event.frame);
                break;
        }
    }
    return count;
}

ConnectionId ByteTransport::accept() {
    const ConnectionId id(next_++);
    open[id];
    bring_up(id);
    return id;
}

void ByteTransport::bring_up(ConnectionId connection) {
    events_.push_back({Event::Kind::up, connection, {}});
}

void ByteTransport::bring_down(ConnectionId connection) {
    events_.push_back({Event::Kind::down, connection, {}});
}

void ByteTransport::arrive(ConnectionId connection, Frame frame) {
    events_.push_back({Event::Kind::frame, connection, std::move(frame)});
}

}  // namespace molink::fuzz
