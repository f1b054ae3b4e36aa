// Connects nodes inside one process: queues under one lock per hub. The code is simple rather than
// fast; a frame costs one move. Each connection has a bounded queue, so that back-pressure works as
// in a network.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include <molink/transport.h>

#include "base/error.h"
#include "base/limits.h"

namespace molink {

InprocHub::~InprocHub() = default;

namespace {

struct Event {
    enum class Kind : std::uint8_t { connected, disconnected, frame } kind;
    ConnectionId connection;
    Frame frame;
};

struct Box;

struct Connection {
    Box* peer = nullptr;  // null while not connected
    ConnectionId peer_connection;
    std::string dialled;             // address; empty for an accepted connection
    std::size_t waiting_frames = 0;  // frames that this side sent and the peer has not read
};

/// State of one transport, guarded by the hub's lock.
struct Box {
    std::condition_variable signal;
    std::deque<Event> events;
    std::map<ConnectionId, Connection> connections;
    std::string address;
    bool woken = false;
    std::uint64_t next_connection = 1;
};

class Hub final : public InprocHub, public std::enable_shared_from_this<Hub> {
public:
    std::unique_ptr<Transport> make_transport() override;

    std::mutex mutex;
    std::map<std::string, Box*> listeners;
    std::vector<Box*> boxes;

    void notify(Box& box, Event event) {
        box.events.push_back(std::move(event));
        box.signal.notify_one();
    }

    /// Connects a dialled connection to its listener, if there is one.
    void try_join(Box& box, ConnectionId id) {
        Connection& mine = box.connections.at(id);
        const auto found = listeners.find(mine.dialled);
        if (mine.peer != nullptr || found == listeners.end()) return;
        Box& other = *found->second;
        const ConnectionId theirs(other.next_connection++);
        mine.peer = &other;
        mine.peer_connection = theirs;
        mine.waiting_frames = 0;
        Connection back;
        back.peer = &box;
        back.peer_connection = id;
        other.connections.emplace(theirs, std::move(back));
        notify(other, {Event::Kind::connected, theirs, {}});
        notify(box, {Event::Kind::connected, id, {}});
    }

    /// Disconnects `mine` from its peer. The peer is told, and dials again if it had dialled.
    void part(Connection& mine) {
        if (mine.peer == nullptr) return;
        Box& other = *std::exchange(mine.peer, nullptr);
        const auto found = other.connections.find(mine.peer_connection);
        if (found == other.connections.end()) return;
        found->second.peer = nullptr;
        notify(other, {Event::Kind::disconnected, mine.peer_connection, {}});
        if (found->second.dialled.empty()) {
            other.connections.erase(found);
        } else {
            try_join(other, mine.peer_connection);
        }
    }
};

class InprocTransport final : public Transport {
public:
    explicit InprocTransport(std::shared_ptr<Hub> hub) : hub_(std::move(hub)) {
        const std::lock_guard lock(hub_->mutex);
        hub_->boxes.push_back(&box_);
    }

    ~InprocTransport() override {
        const std::lock_guard lock(hub_->mutex);
        if (!box_.address.empty()) hub_->listeners.erase(box_.address);
        for (auto& [id, connection] : box_.connections) hub_->part(connection);
        std::erase(hub_->boxes, &box_);
    }

    std::string_view name() const override { return "inproc"; }

    Result<std::string> listen(const std::string& address) override {
        if (!address.starts_with("inproc://") || address.size() == 9) {
            return invalid_argument(
                "listen at '{}': an in-process address looks like inproc://name", address);
        }
        const std::lock_guard lock(hub_->mutex);
        if (hub_->listeners.contains(address)) {
            return make_error(StatusCode::unavailable, "listen at {}: the address is in use",
                              address);
        }
        hub_->listeners[address] = &box_;
        box_.address = address;
        for (Box* box : hub_->boxes) {
            for (auto& [id, connection] : box->connections) {
                if (connection.dialled == address) hub_->try_join(*box, id);
            }
        }
        return address;
    }

    Result<ConnectionId> connect(const DialTarget& target) override {
        const std::string& address = target.address;
        if (target.key) {
            return invalid_argument("dial '{}' with a key: in-process connections have none",
                                    address);
        }
        if (!address.starts_with("inproc://") || address.size() == 9) {
            return invalid_argument("dial '{}': an in-process address looks like inproc://name",
                                    address);
        }
        const std::lock_guard lock(hub_->mutex);
        const ConnectionId id(box_.next_connection++);
        Connection connection;
        connection.dialled = address;
        box_.connections.emplace(id, std::move(connection));
        hub_->try_join(box_, id);
        return id;
    }

    SendOutcome send(ConnectionId id, Frame&& frame) override {
        const std::lock_guard lock(hub_->mutex);
        const auto found = box_.connections.find(id);
        if (found == box_.connections.end() || found->second.peer == nullptr) {
            return SendOutcome::closed;
        }
        Connection& connection = found->second;
        if (connection.waiting_frames >= limits::kMaxWaitingFrames) return SendOutcome::full;
        ++connection.waiting_frames;
        hub_->notify(*connection.peer,
                     {Event::Kind::frame, connection.peer_connection, std::move(frame)});
        return SendOutcome::accepted;
    }

    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override {
        std::deque<Event> events = pop_events(timeout_us);
        for (const Event& event : events) {
            switch (event.kind) {
                case Event::Kind::connected: sink.on_connected(event.connection, {}); break;
                case Event::Kind::disconnected: sink.on_disconnected(event.connection); break;
                case Event::Kind::frame: sink.on_frame(event.connection, event.frame); break;
            }
        }
        return events.size();
    }

    void wake() override {
        const std::lock_guard lock(hub_->mutex);
        box_.woken = true;
        box_.signal.notify_one();
    }

    /// Peers in the same process are never too many.
    void trust(ConnectionId) override {}

    void close(ConnectionId id) override {
        const std::lock_guard lock(hub_->mutex);
        const auto found = box_.connections.find(id);
        if (found == box_.connections.end()) return;
        hub_->part(found->second);
        box_.connections.erase(found);
        std::erase_if(box_.events, [&](const Event& event) { return event.connection == id; });
    }

private:
    std::deque<Event> pop_events(std::int64_t timeout_us) {
        std::unique_lock lock(hub_->mutex);
        if (timeout_us > 0) {
            box_.signal.wait_for(lock, std::chrono::microseconds(timeout_us),
                                 [&] { return box_.woken || !box_.events.empty(); });
        }
        box_.woken = false;
        std::deque<Event> events;
        while (!box_.events.empty() && events.size() < limits::kMaxEventsPerTick) {
            Event event = std::move(box_.events.front());
            box_.events.pop_front();
            if (event.kind == Event::Kind::frame) free_place(event.connection);
            events.push_back(std::move(event));
        }
        return events;
    }

    /// A frame of `id` has left this queue, so its sender may send another one.
    void free_place(ConnectionId id) {
        const auto mine = box_.connections.find(id);
        if (mine == box_.connections.end() || mine->second.peer == nullptr) return;
        const auto theirs = mine->second.peer->connections.find(mine->second.peer_connection);
        if (theirs == mine->second.peer->connections.end()) return;
        // Frames from before a reset were counted on a connection that no longer exists.
        if (theirs->second.waiting_frames == 0) return;
        if (theirs->second.waiting_frames-- == limits::kMaxWaitingFrames) {
            mine->second.peer->woken = true;
            mine->second.peer->signal.notify_one();
        }
    }

    std::shared_ptr<Hub> hub_;
    Box box_;
};

std::unique_ptr<Transport> Hub::make_transport() {
    return std::make_unique<InprocTransport>(shared_from_this());
}

}  // namespace

std::shared_ptr<InprocHub> make_inproc_hub() {
    return std::make_shared<Hub>();
}

}  // namespace molink
