#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
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

inline constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

/// A frame that was put onto a link; its bytes leave between the two times.
struct SentFrame {
    const std::string& from;
    const std::string& to;
    Lane lane;
    std::size_t bytes;
    std::int64_t begin_us;
    std::int64_t end_us;
};

/// What one direction has carried, by lane; acknowledgements count as control.
struct LinkTraffic {
    std::array<std::uint64_t, kLaneCount> bytes{};  ///< with frame headers
    std::array<std::int64_t, kLaneCount> busy_us{};
};

/// Hosts joined by links in virtual time. The connections between two hosts share the bandwidth of
/// a direction and keep their order; a reset loses what is under way. Addresses are
/// "inproc://<host>".
class SimNetwork {
public:
    SimNetwork(const SimClock& clock, std::uint64_t seed) : clock_(clock), random_(seed) {}

    /// Of a direction; `set_default` for those never set.
    void set_link(const std::string& from, const std::string& to, const LinkModel& model);
    void set_default(const LinkModel& model) { default_ = model; }
    /// Nothing sent from `from` arrives at `to` before `until_us`.
    void stall(const std::string& from, const std::string& to, std::int64_t until_us);
    /// Until then some frames from `from` to `to` arrive later than ones sent after them, and some
    /// twice, though a transport promises neither to happen.
    void disorder(const std::string& from, const std::string& to, std::int64_t until_us);
    /// Resets what stands between the two; new connections fail before `until_us`.
    void cut(const std::string& a, const std::string& b, std::int64_t until_us);
    /// Resets every connection; dialled ones are dialled again.
    void cut_all();
    std::uint64_t frames() const { return frames_; }
    std::uint64_t frames_late() const { return frames_late_; }
    std::uint64_t frames_twice() const { return frames_twice_; }
    /// By names from and to.
    std::map<std::pair<std::string, std::string>, LinkTraffic> traffic() const;
    void forget_traffic();
    /// Frames made here count for more bytes than they hold (ChannelOptions::padding), and their
    /// lanes are counted apart. Never with peers that send what is no frame.
    bool padded = false;
    std::function<void(const SentFrame&)> observer;  ///< padded: is told of every frame; or empty
    std::int64_t redial_us = 50'000;
    std::int64_t buffer_us = 200'000;  ///< what may wait for a link before send() says full

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

/// One host's transport. poll() never waits; it notes how long it was permitted to.
class SimTransport final : public Transport {
public:
    SimTransport(SimNetwork& network, std::string host);
    /// The process ends: its connections are reset, unless it is mute.
    ~SimTransport() override;

    std::string_view name() const override { return "sim"; }
    Result<std::string> listen(const std::string& address) override;
    Result<ConnectionId> connect(const std::string& address) override;
    SendOutcome send(ConnectionId connection, Frame&& frame) override;
    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override;
    void wake() override { woken_ = changed_ = true; }
    void close(ConnectionId connection) override;

    /// When poll() has something to do: the next arrival, or the end of the wait of the last poll.
    std::int64_t next_event_us() const;
    /// Whether next_event_us() may have changed since this was asked last.
    bool consume_change() { return std::exchange(changed_, false); }
    void reset_with(const std::string& other);
    void reset_all();

    bool mute = false;  ///< frames sent vanish, nothing arrives: as if the machine were gone
    std::uint64_t sent_bytes = 0;

private:
    friend class SimNetwork;
    struct Event {
        enum class Kind { dial, connected, disconnected, frame } kind;
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
        std::int64_t last_arrival_us = 0;  // of what this end sent
    };

    void at(std::int64_t time_us, Event event) {
        events_.emplace(time_us, std::move(event));
        changed_ = true;
    }
    std::int64_t arrival_us(const SimNetwork::Direction& way, std::int64_t begin);
    void deliver(Connection& mine, SimNetwork::Direction& way, std::int64_t begin, Frame&& frame);
    void dial(ConnectionId id);
    void part(ConnectionId id);

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
