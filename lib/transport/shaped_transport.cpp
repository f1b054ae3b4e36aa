// A weak link in user space. Frames leave at the model's bandwidth and arrive in order after its
// delay. The buffer is bounded. Only frames that this side sends are shaped; wrap both sides for
// both directions. Relies on calls of poll(), which send the frames that are due.
#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include <molink/transport.h>

#include "base/limits.h"
#include "base/random.h"

namespace molink {
namespace {

struct Delayed {
    std::int64_t due_us = 0;
    Frame frame;
};

struct Queue {
    std::deque<Delayed> frames;
    std::size_t bytes = 0;
    std::int64_t free_us = 0;  // time when the link will have sent all accepted frames
    std::int64_t last_due_us = 0;
};

class ShapedTransport final : public Transport, private TransportSink {
public:
    ShapedTransport(std::unique_ptr<Transport> inner, const LinkModel& model, const Clock& clock)
        : inner_(std::move(inner)), model_(model), clock_(clock) {}

    std::string_view name() const override { return "shaped"; }
    Result<std::string> listen(const std::string& address) override {
        return inner_->listen(address);
    }
    Result<ConnectionId> connect(const DialTarget& target) override {
        return inner_->connect(target);
    }
    void trust(ConnectionId connection) override { inner_->trust(connection); }
    void wake() override { inner_->wake(); }

    void close(ConnectionId connection) override {
        flush(clock_.now_us() + model_.delay_us + model_.jitter_us, connection);
        queues_.erase(connection);
        up_.erase(connection);
        inner_->close(connection);
    }

    SendOutcome send(ConnectionId connection, Frame&& frame) override {
        if (!up_.contains(connection)) return SendOutcome::closed;
        const std::int64_t now = clock_.now_us();
        Queue& queue = queues_[connection];
        if (queue.bytes >= buffer_bytes()) return SendOutcome::full;
        queue.free_us = std::max(queue.free_us, now);
        if (model_.bytes_per_s > 0) {
            queue.free_us += static_cast<std::int64_t>(static_cast<double>(frame.size()) * 1e6 /
                                                       model_.bytes_per_s);
        }
        std::int64_t due = queue.free_us + model_.delay_us;
        if (model_.jitter_us > 0) {
            due += static_cast<std::int64_t>(
                random_.below(static_cast<std::uint64_t>(model_.jitter_us) + 1));
        }
        queue.last_due_us = std::max(queue.last_due_us, due);
        queue.bytes += frame.size();
        queue.frames.push_back({queue.last_due_us, std::move(frame)});
        return SendOutcome::accepted;
    }

    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override {
        const std::int64_t now = clock_.now_us();
        std::int64_t wait = timeout_us;
        for (auto& [connection, queue] : queues_) {
            flush(now, connection);
            if (queue.frames.empty()) continue;
            const std::int64_t due = queue.frames.front().due_us - now;
            wait = std::min(wait, due > 0 ? due : limits::kFullRetryUs);
        }
        outer_ = &sink;
        const std::size_t events = inner_->poll(wait, *this);
        outer_ = nullptr;
        const std::int64_t after = clock_.now_us();
        for (auto& [connection, queue] : queues_) flush(after, connection);
        return events;
    }

private:
    bool permits(const PublicKey& key) override { return outer_->permits(key); }

    void on_connected(ConnectionId connection, const PeerIdentity& peer) override {
        up_.insert(connection);
        outer_->on_connected(connection, peer);
    }

    void on_disconnected(ConnectionId connection) override {
        up_.erase(connection);
        queues_.erase(connection);
        outer_->on_disconnected(connection);
    }

    void on_resolved(ConnectionId connection, const Status& outcome) override {
        outer_->on_resolved(connection, outcome);
    }

    void on_frame(ConnectionId connection, std::span<const std::byte> bytes) override {
        outer_->on_frame(connection, bytes);
    }

    /// Returns the buffer size of a router in front of the link: the bytes of a round trip, at
    /// least 64 KiB.
    std::size_t buffer_bytes() const {
        const double product =
            model_.bytes_per_s * 2e-6 * static_cast<double>(model_.delay_us + model_.jitter_us);
        return static_cast<std::size_t>(std::max(product, 65536.0)) +
               static_cast<std::size_t>(product);
    }

    void flush(std::int64_t now_us, ConnectionId connection) {
        const auto found = queues_.find(connection);
        if (found == queues_.end()) return;
        Queue& queue = found->second;
        while (!queue.frames.empty() && queue.frames.front().due_us <= now_us) {
            Frame& frame = queue.frames.front().frame;
            const std::size_t size = frame.size();
            if (inner_->send(connection, std::move(frame)) == SendOutcome::full) return;
            queue.bytes -= size;
            queue.frames.pop_front();
        }
    }

    std::unique_ptr<Transport> inner_;
    LinkModel model_;
    const Clock& clock_;
    Random random_{1};
    std::map<ConnectionId, Queue> queues_;
    std::set<ConnectionId> up_;
    TransportSink* outer_ = nullptr;
};

}  // namespace

std::unique_ptr<Transport> make_shaped_transport(std::unique_ptr<Transport> inner,
                                                 const LinkModel& model, const Clock& clock) {
    return std::make_unique<ShapedTransport>(std::move(inner), model, clock);
}

}  // namespace molink
