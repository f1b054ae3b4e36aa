#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <molink/link.h>
#include <molink/transport.h>
#include <molink/types.h>

#include "base/random.h"
#include "sim/sim_clock.h"

namespace molink::sim {

class SimTransport;

/// Later than every event.
inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// A frame that was sent over a link. Its bytes leave between the two times.
struct SentFrame {
    const std::string& from;
    const std::string& to;
    Lane lane;
    std::size_t bytes;
    std::int64_t begin_us;
    std::int64_t end_us;
};

/// What one link has carried, by lane. Acknowledgements count as control.
struct LinkTraffic {
    std::array<std::uint64_t, kLaneCount> bytes{};  ///< with frame headers
    std::array<std::int64_t, kLaneCount> busy_us{};
};

/// Hosts that are joined by links in virtual time; a link is one direction. All connections between
/// two hosts share the bandwidth of the two links. A connection keeps the order of its frames; a
/// reset loses those under way. Addresses are "inproc://<host>". Thread: one.
class SimNetwork {
public:
    SimNetwork(const SimClock& clock, std::uint64_t seed) : clock_(clock), random_(seed) {}

    /// Sets the model of the link from `from` to `to`.
    void set_link(const std::string& from, const std::string& to, const LinkModel& model);
    /// Sets the model of all other links. Call it before they are used.
    void set_default(const LinkModel& model) { default_ = model; }
    /// Holds what `from` sends to `to` from now on until `until_us`. Nothing is lost.
    void stall(const std::string& from, const std::string& to, std::int64_t until_us);
    /// Until `until_us` some frames from `from` to `to` arrive after frames that were sent later,
    /// and some arrive twice, although a transport promises that this does not happen.
    void disorder(const std::string& from, const std::string& to, std::int64_t until_us);
    /// Resets the connections between two hosts. New ones between them fail before `until_us`.
    void cut(const std::string& a, const std::string& b, std::int64_t until_us);
    /// Resets every connection; dialled ones are dialled again.
    void cut_all();
    /// Numbers of frames: sent, held back by disorder(), and delivered twice.
    std::uint64_t frames() const { return frames_; }
    std::uint64_t frames_late() const { return frames_late_; }
    std::uint64_t frames_twice() const { return frames_twice_; }
    /// Returns what each link has carried, by the names of its hosts (from, to). All zero unless
    /// `padded`.
    std::map<std::pair<std::string, std::string>, LinkTraffic> traffic() const;
    void forget_traffic();
    /// Frames count with their padding (ChannelOptions::padding), and traffic() counts them.
    /// Requires that everything sent has a frame header.
    bool padded = false;
    std::function<void(const SentFrame&)> observer;  ///< gets every frame if `padded`; or empty
    std::int64_t redial_us = 50'000;                 ///< between two attempts to connect
    std::int64_t buffer_us = 200'000;  ///< lag of a link above which send() returns full

private:
    friend class SimTransport;
    using Pair = std::pair<std::string, std::string>;
    struct Direction {
        LinkModel model;
        std::int64_t free_us = 0;
        std::int64_t stalled_until_us = 0;
        std::int64_t disordered_until_us = 0;
        LinkTraffic traffic;
    };

    static Pair order(const std::string& a, const std::string& b) {
        return a < b ? Pair{a, b} : Pair{b, a};
    }
    Direction& direction(const std::string& from, const std::string& to);
    bool severed(const std::string& a, const std::string& b) const;

    const SimClock& clock_;
    Random random_;
    LinkModel default_;
    std::map<Pair, Direction> directions_;
    std::map<Pair, std::int64_t> severed_until_;
    std::map<std::string, SimTransport*> listeners_;
    std::vector<SimTransport*> transports_;
    std::uint64_t frames_ = 0;
    std::uint64_t frames_late_ = 0;
    std::uint64_t frames_twice_ = 0;
};

/// The transport of one host. poll() never waits; it notes how long it was permitted to wait.
/// `network` must outlive it. Thread: one.
class SimTransport final : public Transport {
public:
    SimTransport(SimNetwork& network, std::string host);
    /// Resets the connections, as the end of a process does, unless the transport is mute.
    ~SimTransport() override;

    std::string_view name() const override { return "sim"; }
    Result<std::string> listen(const std::string& address) override;
    Result<ConnectionId> connect(const DialTarget& target) override;
    SendOutcome send(ConnectionId connection, Frame&& frame) override;
    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override;
    void wake() override { woken_ = changed_ = true; }
    void close(ConnectionId connection) override;
    /// Simulated hosts have room for all peers.
    void trust(ConnectionId) override {}

    /// Returns when to call poll(): at the next arrival, or when the last poll() would have
    /// returned.
    std::int64_t next_event_us() const;
    /// Returns whether next_event_us() may have changed since the last call of this method.
    bool consume_change() { return std::exchange(changed_, false); }
    /// Resets the connections with host `other`.
    void reset_with(const std::string& other);
    void reset_all();

    std::optional<PublicKey> key;  ///< of this host; none: connections are plain
    bool mute = false;             ///< nothing is delivered either way, as if the machine were gone
    std::uint64_t sent_bytes = 0;

private:
    friend class SimNetwork;
    struct Event {
        enum class Kind { dial, handshake, connected, disconnected, frame } kind;
        ConnectionId connection;
        std::uint64_t generation = 0;
        Frame frame;
    };
    struct Connection {
        SimTransport* peer = nullptr;
        SimNetwork::Direction* way = nullptr;  // to the peer
        ConnectionId peer_connection;
        std::uint64_t generation = 0;
        std::string dialled;
        std::optional<PublicKey> wanted;   // dialled: the key that must answer
        PeerIdentity shown;                // dialled: what this end proves; accepted: what it saw
        std::int64_t last_arrival_us = 0;  // of what this end sent
    };

    void at(std::int64_t time_us, Event event) {
        events_.emplace(time_us, std::move(event));
        changed_ = true;
    }
    std::int64_t arrival_us(const SimNetwork::Direction& way, std::int64_t begin);
    void deliver(Connection& mine, SimNetwork::Direction& way, std::int64_t begin, Frame&& frame);
    void dial(ConnectionId id);
    bool fits(const Connection& mine, const SimTransport& listener) const;
    void finish_handshake(ConnectionId id, TransportSink& sink);
    void disconnect(ConnectionId id);

    SimNetwork& network_;
    std::string host_;
    std::map<ConnectionId, Connection> connections_;
    std::multimap<std::int64_t, Event> events_;
    std::string address_;
    std::int64_t idle_until_us_ = 0;
    bool woken_ = false;
    bool changed_ = true;
    std::uint64_t next_ = 1;
};

}  // namespace molink::sim
