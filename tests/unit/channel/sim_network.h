#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <molink/clock.h>

#include "base/random.h"
#include "channel/channel_hub.h"
#include "sim/sim_clock.h"
#include "sim/sim_network.h"

namespace molink::test {

/// Hosts joined by links of one bandwidth and delay, in virtual time.
struct SimNetwork {
    /// Must be called before hosts connect. `bytes_per_s` 0 means unlimited.
    void set_link(double bytes_per_s, std::int64_t delay_us) {
        network.set_default({bytes_per_s, delay_us, 0});
    }

    sim::SimClock clock;
    sim::SimNetwork network{clock, 1};
};

/// Returns an epoch of a pipeline.
inline PipelineEpoch epoch_of(std::uint32_t epoch, std::uint16_t pipeline = 0) {
    return {PipelineId(pipeline), Epoch(epoch)};
}

/// Records the events of a hub.
struct RecordingSink final : HubSink {
    struct Message {
        PeerLinkId link;
        Lane lane;
        PipelineEpoch epoch;
        Bytes bytes;
        std::int64_t at_us;
    };
    explicit RecordingSink(const Clock& c) : clock(c) {}
    bool permits(const PublicKey&) override { return true; }
    void on_link_up(PeerLinkId link, bool) override {
        up.push_back(link);
        if (trusts_all && hub != nullptr) hub->trust(link);
    }
    void on_link_interrupted(PeerLinkId link) override {
        ++interrupted;
        if (at_interruption) at_interruption(link);
    }
    void on_link_resumed(PeerLinkId) override { ++resumed; }
    void on_link_lost(PeerLinkId, const Status& reason) override { lost.push_back(reason); }
    void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override {
        messages.push_back({link, lane, epoch, std::move(message), clock.now_us()});
    }
    const Clock& clock;
    ChannelHub* hub = nullptr;
    bool trusts_all = true;
    std::vector<PeerLinkId> up;
    std::vector<Status> lost;
    std::vector<Message> messages;
    int interrupted = 0;
    int resumed = 0;
    std::function<void(PeerLinkId)> at_interruption;  // may be empty
};

/// A host: its transport, its hub and the events of the hub.
struct SimHost {
    SimHost(SimNetwork& net, std::uint64_t seed, HubOptions options = {})
        : transport(net.network, "host-" + std::to_string(seed)), sink(net.clock) {
        options.seed = seed;
        hub = make_channel_hub(transport, net.clock, sink, options);
        sink.hub = hub.get();
    }
    sim::SimTransport transport;
    RecordingSink sink;
    std::unique_ptr<ChannelHub> hub;
};

/// Polls all hosts and advances the time until done() holds. Returns false after `limit_us`.
template <typename Done>
bool run_until(SimNetwork& net, std::vector<SimHost*> hosts, Done done,
               std::int64_t limit_us = 60'000'000, std::int64_t step_us = 200) {
    const std::int64_t end = net.clock.now + limit_us;
    while (!done()) {
        if (net.clock.now > end) return false;
        for (SimHost* host : hosts) host->hub->poll(0);
        net.clock.now += step_us;
    }
    return true;
}

/// Returns `size` bytes that depend on `seed`.
inline Bytes pattern(std::size_t size, std::uint64_t seed) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<std::byte>(counter_random(seed, i / 8) >> (8 * (i % 8)));
    }
    return bytes;
}

/// Two hosts, and the link that host `a` dials.
struct Pair {
    explicit Pair(HubOptions options = {}) : a(net, 1, options), b(net, 2, options) {}
    bool join() {
        if (!b.transport.listen("inproc://b").has_value()) return false;
        link = *a.hub->dial("inproc://b");
        return until([&] { return !a.sink.up.empty() && !b.sink.up.empty(); });
    }
    template <typename Done>
    bool until(Done done, std::int64_t limit_us = 60'000'000, std::int64_t step_us = 200) {
        return run_until(net, {&a, &b}, done, limit_us, step_us);
    }
    void wait(std::int64_t span_us) {
        until([] { return false; }, span_us);
    }
    SimNetwork net;
    SimHost a;
    SimHost b;
    PeerLinkId link;
};

}  // namespace molink::test
