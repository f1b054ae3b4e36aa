#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <molink/clock.h>
#include <molink/transport.h>

#include "channel/channel_hub.h"

namespace molink::test {

class SimTransport;

/// Hosts joined by links of one bandwidth and delay, in virtual time. The connections between two
/// hosts share the bandwidth of a direction; a cut loses what is under way.
struct SimNetwork final : Clock {
    std::int64_t now_us() const override { return now; }
    void cut();

    std::int64_t now = 1'000'000;
    double bytes_per_us = 0;  ///< 0: unlimited
    std::int64_t delay_us = 0;
    std::int64_t redial_us = 50'000;
    std::int64_t buffer_us = 200'000;  ///< what may wait for the link before send() says full
    std::map<std::string, SimTransport*> listeners;
    std::vector<SimTransport*> transports;
};

class SimTransport final : public Transport {
public:
    explicit SimTransport(SimNetwork& network) : network_(network) {
        network.transports.push_back(this);
    }
    ~SimTransport() override;

    std::string_view name() const override { return "sim"; }
    Result<std::string> listen(const std::string& address) override;
    Result<ConnectionId> connect(const std::string& address) override;
    SendOutcome send(ConnectionId connection, Frame&& frame) override;
    std::size_t poll(std::int64_t timeout_us, TransportSink& sink) override;
    void wake() override {}
    void close(ConnectionId connection) override;
    /// Breaks every connection; dialled ones are dialled again.
    void break_all();

    bool mute = false;  ///< frames sent vanish, as on a dead wire
    std::uint64_t sent_bytes = 0;

private:
    struct Event {
        enum class Kind { dial, connected, disconnected, frame } kind;
        ConnectionId connection;
        std::uint64_t generation = 0;
        Frame frame;
    };
    struct Connection {
        SimTransport* peer = nullptr;
        ConnectionId peer_connection;
        std::uint64_t generation = 0;
        std::string dialled;
    };

    void at(std::int64_t time_us, Event event) { events_.emplace(time_us, std::move(event)); }
    void dial(ConnectionId id);
    void part(ConnectionId id);

    SimNetwork& network_;
    std::map<ConnectionId, Connection> connections_;
    std::multimap<std::int64_t, Event> events_;
    std::map<SimTransport*, std::int64_t> free_us_;
    std::string address_;
    std::uint64_t next_ = 1;
};

/// Writes down what a hub says.
struct RecordingSink final : HubSink {
    struct Message {
        LinkId link;
        Lane lane;
        Epoch epoch;
        Bytes bytes;
        std::int64_t at_us;
    };
    explicit RecordingSink(const Clock& c) : clock(c) {}
    void on_link_up(LinkId link, bool) override { up.push_back(link); }
    void on_link_interrupted(LinkId) override { ++interrupted; }
    void on_link_resumed(LinkId) override { ++resumed; }
    void on_link_lost(LinkId, const Status& reason) override { lost.push_back(reason); }
    void on_message(LinkId link, Lane lane, Epoch epoch, Bytes message) override {
        messages.push_back({link, lane, epoch, std::move(message), clock.now_us()});
    }
    const Clock& clock;
    std::vector<LinkId> up;
    std::vector<Status> lost;
    std::vector<Message> messages;
    int interrupted = 0;
    int resumed = 0;
};

/// A host: transport, hub and what it heard.
struct SimHost {
    SimHost(SimNetwork& network, std::uint64_t seed, HubOptions options = {})
        : transport(network), sink(network) {
        options.seed = seed;
        hub = make_channel_hub(transport, network, sink, options);
    }
    SimTransport transport;
    RecordingSink sink;
    std::unique_ptr<ChannelHub> hub;
};

/// Polls all hosts and moves the time on until `done` holds. False when that took `limit_us`.
template <typename Done>
bool run_until(SimNetwork& network, std::vector<SimHost*> hosts, Done done,
               std::int64_t limit_us = 60'000'000, std::int64_t step_us = 200) {
    const std::int64_t end = network.now + limit_us;
    while (!done()) {
        if (network.now > end) return false;
        for (SimHost* host : hosts) host->hub->poll(0);
        network.now += step_us;
    }
    return true;
}

}  // namespace molink::test
