// Virtual-time transport for tests of the channel. Every transport has a calendar of what reaches
// it; a connection has a generation, so that a cut makes what is under way stale.
#include "unit/channel/sim_network.h"

#include <algorithm>

namespace molink::test {

void SimNetwork::cut() {
    for (SimTransport* transport : transports) transport->break_all();
}

SimTransport::~SimTransport() {
    break_all();
    network_.listeners.erase(address_);
    std::erase(network_.transports, this);
}

Result<std::string> SimTransport::listen(const std::string& address) {
    network_.listeners[address] = this;
    return address_ = address;
}

Result<ConnectionId> SimTransport::connect(const std::string& address) {
    const ConnectionId id(next_++);
    connections_[id].dialled = address;
    at(network_.now, {Event::Kind::dial, id, 0, {}});
    return id;
}

void SimTransport::dial(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.peer != nullptr) return;
    Connection& mine = found->second;
    const auto listener = network_.listeners.find(mine.dialled);
    if (listener == network_.listeners.end()) {
        at(network_.now + network_.redial_us, {Event::Kind::dial, id, 0, {}});
        return;
    }
    mine.peer = listener->second;
    mine.peer_connection = ConnectionId(mine.peer->next_++);
    ++mine.generation;
    Connection& back = mine.peer->connections_[mine.peer_connection];
    back.peer = this;
    back.peer_connection = id;
    const std::int64_t up = network_.now + 2 * network_.delay_us;
    at(up, {Event::Kind::connected, id, mine.generation, {}});
    mine.peer->at(up, {Event::Kind::connected, mine.peer_connection, 0, {}});
}

SendOutcome SimTransport::send(ConnectionId id, Frame&& frame) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.peer == nullptr) return SendOutcome::closed;
    SimTransport* peer = found->second.peer;
    std::int64_t& free = free_us_[peer];
    free = std::max(free, network_.now);
    if (free - network_.now > network_.buffer_us) return SendOutcome::full;
    if (network_.bytes_per_us > 0) {
        free +=
            static_cast<std::int64_t>(static_cast<double>(frame.size()) / network_.bytes_per_us);
    }
    sent_bytes += frame.size();
    if (mute) return SendOutcome::accepted;
    const ConnectionId theirs = found->second.peer_connection;
    const std::uint64_t generation = peer->connections_.at(theirs).generation;
    peer->at(free + network_.delay_us, {Event::Kind::frame, theirs, generation, std::move(frame)});
    return SendOutcome::accepted;
}

std::size_t SimTransport::poll(std::int64_t, TransportSink& sink) {
    std::size_t count = 0;
    while (!events_.empty() && events_.begin()->first <= network_.now) {
        Event event = std::move(events_.extract(events_.begin()).mapped());
        if (event.kind == Event::Kind::dial) {
            dial(event.connection);
            continue;
        }
        ++count;
        if (event.kind == Event::Kind::disconnected) {
            sink.on_disconnected(event.connection);
            continue;
        }
        const auto found = connections_.find(event.connection);
        if (found == connections_.end() || found->second.generation != event.generation) continue;
        if (event.kind == Event::Kind::connected) sink.on_connected(event.connection);
        if (event.kind == Event::Kind::frame) sink.on_frame(event.connection, event.frame);
    }
    return count;
}

/// This end of a connection goes down: an accepted one is over, a dialled one is dialled again.
void SimTransport::part(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.peer == nullptr) return;
    found->second.peer = nullptr;
    at(network_.now, {Event::Kind::disconnected, id, 0, {}});
    if (found->second.dialled.empty()) {
        connections_.erase(found);
        return;
    }
    ++found->second.generation;
    at(network_.now + network_.redial_us, {Event::Kind::dial, id, 0, {}});
}

void SimTransport::break_all() {
    std::vector<ConnectionId> ids;
    for (const auto& [id, connection] : connections_) ids.push_back(id);
    for (ConnectionId id : ids) {
        const auto found = connections_.find(id);
        if (found == connections_.end() || found->second.peer == nullptr) continue;
        found->second.peer->part(found->second.peer_connection);
        part(id);
    }
}

void SimTransport::close(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    if (found->second.peer != nullptr) found->second.peer->part(found->second.peer_connection);
    connections_.erase(id);
}

}  // namespace molink::test
