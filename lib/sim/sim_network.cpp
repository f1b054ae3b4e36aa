// The network of a simulation. Every transport has a calendar of the events that reach it. A
// connection has a generation, so that a reset makes the frames under way stale. All connections
// from one host to another share a link's bandwidth. Jitter delays frames, but as with TCP no frame
// overtakes another one of its connection.
#include "sim/sim_network.h"

#include <algorithm>

#include "base/error.h"
#include "channel/frame_header.h"

namespace molink::sim {
namespace {

constexpr std::string_view kScheme = "inproc://";

std::string host_of(const std::string& address) {
    return address.substr(kScheme.size());
}

/// One jitter is drawn for each such time of sending.
constexpr std::int64_t kJitterStepUs = 1000;
/// A disordered link holds back this share of its frames and delivers this share twice. The delay
/// is at most kDisorderUs.
constexpr double kDisorder = 0.03;
constexpr std::uint64_t kDisorderUs = 20'000;

}  // namespace

SimNetwork::Direction& SimNetwork::direction(const std::string& from, const std::string& to) {
    const auto [found, added] = directions_.try_emplace({from, to});
    if (added) found->second.model = default_;
    return found->second;
}

void SimNetwork::set_link(const std::string& from, const std::string& to, const LinkModel& model) {
    direction(from, to).model = model;
}

void SimNetwork::stall(const std::string& from, const std::string& to, std::int64_t until_us) {
    auto& until = direction(from, to).stalled_until_us;
    until = std::max(until, until_us);
}

void SimNetwork::disorder(const std::string& from, const std::string& to, std::int64_t until_us) {
    auto& until = direction(from, to).disordered_until_us;
    until = std::max(until, until_us);
}

bool SimNetwork::severed(const std::string& a, const std::string& b) const {
    const auto found = severed_until_.find(order(a, b));
    return found != severed_until_.end() && found->second > clock_.now;
}

void SimNetwork::cut(const std::string& a, const std::string& b, std::int64_t until_us) {
    auto& until = severed_until_[order(a, b)];
    until = std::max(until, until_us);
    for (SimTransport* transport : transports_) {
        if (transport->host_ == a) transport->reset_with(b);
    }
    // The frames that waited for the link were lost with the connections.
    for (Direction* way : {&direction(a, b), &direction(b, a)}) {
        way->free_us = std::min(way->free_us, clock_.now);
    }
}

std::map<std::pair<std::string, std::string>, LinkTraffic> SimNetwork::traffic() const {
    std::map<Pair, LinkTraffic> all;
    for (const auto& [pair, way] : directions_) all[pair] = way.traffic;
    return all;
}

void SimNetwork::forget_traffic() {
    for (auto& [pair, way] : directions_) way.traffic = {};
}

void SimNetwork::cut_all() {
    for (SimTransport* transport : transports_) transport->reset_all();
}

SimTransport::SimTransport(SimNetwork& network, std::string host)
    : network_(network), host_(std::move(host)) {
    network_.transports_.push_back(this);
}

SimTransport::~SimTransport() {
    if (!mute) reset_all();
    for (SimTransport* other : network_.transports_) {
        for (auto& [id, connection] : other->connections_) {
            if (connection.peer == this) connection.peer = nullptr;  // gone without a reset
        }
    }
    const auto listener = network_.listeners_.find(address_);
    if (listener != network_.listeners_.end() && listener->second == this) {
        network_.listeners_.erase(listener);
    }
    std::erase(network_.transports_, this);
}

Result<std::string> SimTransport::listen(const std::string& address) {
    if (address.rfind(kScheme, 0) != 0) {
        return invalid_argument("listen at '{}': a simulated address looks like inproc://host",
                                address);
    }
    network_.listeners_[address] = this;
    return address_ = address;
}

Result<ConnectionId> SimTransport::connect(const DialTarget& target) {
    const std::string& address = target.address;
    if (address.rfind(kScheme, 0) != 0) {
        return invalid_argument("connect to '{}': a simulated address looks like inproc://host",
                                address);
    }
    const ConnectionId id(next_++);
    Connection& mine = connections_[id];
    mine.dialled = address;
    mine.wanted = target.key;
    if (target.key) mine.shown.key = target.pass ? target.pass->public_key : key;
    at(network_.clock_.now, {Event::Kind::dial, id, 0, {}});
    return id;
}

void SimTransport::dial(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.peer != nullptr) return;
    Connection& mine = found->second;
    const auto listener = network_.listeners_.find(mine.dialled);
    const std::int64_t now = network_.clock_.now;
    if (listener == network_.listeners_.end() || listener->second->mute || mute ||
        !fits(mine, *listener->second) || network_.severed(host_, host_of(mine.dialled))) {
        at(now + network_.redial_us, {Event::Kind::dial, id, 0, {}});
        return;
    }
    mine.peer = listener->second;
    mine.peer_connection = ConnectionId(mine.peer->next_++);
    ++mine.generation;
    mine.last_arrival_us = 0;
    Connection& back = mine.peer->connections_[mine.peer_connection];
    back.peer = this;
    back.peer_connection = id;
    mine.way = &network_.direction(host_, mine.peer->host_);
    back.way = &network_.direction(mine.peer->host_, host_);
    back.shown = mine.shown;
    const std::int64_t up = now + 2 * mine.way->model.delay_us;
    if (mine.wanted) {
        mine.peer->at(up, {Event::Kind::handshake, mine.peer_connection, 0, {}});
        return;
    }
    at(up, {Event::Kind::connected, id, mine.generation, {}});
    mine.peer->at(up, {Event::Kind::connected, mine.peer_connection, 0, {}});
}

/// Returns whether a handshake with `listener` can succeed: both ends have keys, and the listener
/// has the one that is wanted, or neither has.
bool SimTransport::fits(const Connection& mine, const SimTransport& listener) const {
    return mine.wanted == listener.key;
}

/// The accepting end learns the key of the other one and asks the sink about it.
void SimTransport::finish_handshake(ConnectionId id, TransportSink& sink) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.peer == nullptr) return;
    Connection& mine = found->second;
    SimTransport& dialler = *mine.peer;
    const ConnectionId back = mine.peer_connection;
    const PeerIdentity shown = mine.shown;
    const std::int64_t now = network_.clock_.now;
    const auto other = dialler.connections_.find(back);
    if (other == dialler.connections_.end()) return;
    if (sink.permits(*shown.key)) {
        dialler.at(now + mine.way->model.delay_us,
                   {Event::Kind::connected, back, other->second.generation, {}});
        sink.on_connected(id, shown);
        return;
    }
    connections_.erase(found);
    other->second.peer = nullptr;
    ++other->second.generation;
    dialler.at(now + network_.redial_us, {Event::Kind::dial, back, 0, {}});
}

SendOutcome SimTransport::send(ConnectionId id, Frame&& frame) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.peer == nullptr) return SendOutcome::closed;
    Connection& mine = found->second;
    SimTransport* peer = mine.peer;
    const std::int64_t now = network_.clock_.now;
    SimNetwork::Direction& way = *mine.way;
    const std::int64_t begin = std::max({way.free_us, now, way.stalled_until_us});
    if (begin - now > network_.buffer_us && way.stalled_until_us <= now) return SendOutcome::full;
    const std::size_t bytes = network_.padded ? frame_bytes(frame) : frame.size();
    const double rate = way.model.bytes_per_s;
    way.free_us = begin;
    if (rate > 0) {
        way.free_us += static_cast<std::int64_t>(static_cast<double>(bytes) * 1e6 / rate);
    }
    sent_bytes += bytes;
    ++network_.frames_;
    if (network_.padded) {
        const Lane lane = frame_lane(frame);
        way.traffic.bytes[static_cast<std::size_t>(lane)] += bytes;
        way.traffic.busy_us[static_cast<std::size_t>(lane)] += way.free_us - begin;
        if (network_.observer) {
            network_.observer({host_, peer->host_, lane, bytes, begin, way.free_us});
        }
    }
    if (!mute && !peer->mute) deliver(mine, way, begin, std::move(frame));
    return SendOutcome::accepted;
}

/// Returns when the last byte of a frame arrives that is sent from `begin` to way.free_us. Every
/// kJitterStepUs of it draws its own jitter, so that long frames tend to be later than short ones.
std::int64_t SimTransport::arrival_us(const SimNetwork::Direction& way, std::int64_t begin) {
    if (way.model.jitter_us <= 0) return way.free_us + way.model.delay_us;
    std::int64_t arrival = 0;
    for (std::int64_t left = begin; arrival == 0 || left < way.free_us;) {
        left = std::min(left + kJitterStepUs, way.free_us);
        const auto late = static_cast<std::int64_t>(
            network_.random_.below(static_cast<std::uint64_t>(way.model.jitter_us) + 1));
        arrival = std::max(arrival, left + way.model.delay_us + late);
    }
    return arrival;
}

/// Schedules the arrival of a frame that is sent from `begin` to way.free_us.
void SimTransport::deliver(Connection& mine, SimNetwork::Direction& way, std::int64_t begin,
                           Frame&& frame) {
    SimTransport* peer = mine.peer;
    std::int64_t arrival = std::max(arrival_us(way, begin), mine.last_arrival_us);
    mine.last_arrival_us = arrival;
    const std::uint64_t generation = peer->connections_.at(mine.peer_connection).generation;
    if (way.disordered_until_us > network_.clock_.now) {
        const auto later = [&] {
            return 1 + static_cast<std::int64_t>(network_.random_.below(kDisorderUs));
        };
        if (network_.random_.uniform() < kDisorder) {
            ++network_.frames_twice_;
            peer->at(arrival + later(),
                     {Event::Kind::frame, mine.peer_connection, generation, frame});
        }
        if (network_.random_.uniform() < kDisorder) {
            ++network_.frames_late_;
            arrival += later();
        }
    }
    peer->at(arrival, {Event::Kind::frame, mine.peer_connection, generation, std::move(frame)});
}

std::size_t SimTransport::poll(std::int64_t timeout_us, TransportSink& sink) {
    const std::int64_t now = network_.clock_.now;
    idle_until_us_ = timeout_us >= kNever - now ? kNever : now + timeout_us;
    woken_ = false;
    changed_ = true;
    std::size_t count = 0;
    while (!events_.empty() && events_.begin()->first <= now) {
        Event event = std::move(events_.extract(events_.begin()).mapped());
        if (event.kind == Event::Kind::dial) {
            dial(event.connection);
            continue;
        }
        if (mute) continue;
        ++count;
        if (event.kind == Event::Kind::disconnected) {
            sink.on_disconnected(event.connection);
            continue;
        }
        const auto found = connections_.find(event.connection);
        if (found == connections_.end() || found->second.generation != event.generation) continue;
        if (event.kind == Event::Kind::handshake) finish_handshake(event.connection, sink);
        if (event.kind == Event::Kind::connected) {
            sink.on_connected(event.connection, {found->second.wanted});
        }
        if (event.kind == Event::Kind::frame) sink.on_frame(event.connection, event.frame);
    }
    // The sink may have set new timers, so poll() is due again at once.
    if (count > 0) idle_until_us_ = now;
    return count;
}

std::int64_t SimTransport::next_event_us() const {
    if (woken_) return network_.clock_.now;
    const std::int64_t arrival = events_.empty() ? kNever : events_.begin()->first;
    return std::min(arrival, idle_until_us_);
}

/// Takes down this end of a connection. An accepted one ends; a dialled one is dialled again.
void SimTransport::disconnect(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.peer == nullptr) return;
    found->second.peer = nullptr;
    const std::int64_t now = network_.clock_.now;
    at(now, {Event::Kind::disconnected, id, 0, {}});
    if (found->second.dialled.empty()) {
        connections_.erase(found);
        return;
    }
    ++found->second.generation;
    at(now + network_.redial_us, {Event::Kind::dial, id, 0, {}});
}

void SimTransport::reset_with(const std::string& other) {
    std::vector<ConnectionId> ids;
    for (const auto& [id, connection] : connections_) {
        if (connection.peer != nullptr && connection.peer->host_ == other) ids.push_back(id);
    }
    for (ConnectionId id : ids) {
        const auto found = connections_.find(id);
        if (found == connections_.end() || found->second.peer == nullptr) continue;
        found->second.peer->disconnect(found->second.peer_connection);
        disconnect(id);
    }
}

void SimTransport::reset_all() {
    std::vector<std::string> others;
    for (const auto& [id, connection] : connections_) {
        if (connection.peer != nullptr) others.push_back(connection.peer->host_);
    }
    for (const std::string& other : others) reset_with(other);
}

void SimTransport::close(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    if (found->second.peer != nullptr) {
        found->second.peer->disconnect(found->second.peer_connection);
    }
    connections_.erase(id);
}

}  // namespace molink::sim
