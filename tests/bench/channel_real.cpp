// channel_bench on sockets. The receiving hub has its own thread, as in a node. Both hubs sleep in
// poll(), so that waits include the inaccuracy of the system's timers.
#include "channel_real.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>

#include "support/relay.h"

namespace molink::bench {
namespace {

constexpr std::int64_t kProbedWithinUs = 2'000'000;
constexpr std::int64_t kTurnUs = 10'000;

struct Host {
    Host(const std::string& policy, std::uint64_t seed) : listener(steady_clock()) {
        auto made = make_zmq_transport();
        if (!made) throw std::runtime_error(made.error().message());
        transport = std::move(*made);
        HubOptions options;
        options.seed = seed;
        options.policy = [policy] { return std::move(*make_transmit_policy(policy)); };
        hub = make_channel_hub(*transport, steady_clock(), listener, options);
        listener.hub = hub.get();
    }
    std::unique_ptr<Transport> transport;
    ChannelListener listener;
    std::unique_ptr<ChannelHub> hub;
};

int port_of(const std::string& address) {
    return std::stoi(address.substr(address.rfind(':') + 1));
}

void turn(Host& host, ChannelLoad* load, std::int64_t until_us) {
    while (steady_clock().now_us() < until_us) {
        if (load != nullptr) load->tick();
        const std::int64_t now = steady_clock().now_us();
        std::int64_t next = std::min(until_us, now + kTurnUs);
        if (load != nullptr) next = std::min(next, load->next_us());
        host.hub->poll(std::max<std::int64_t>(0, next - now));
    }
}

}  // namespace

ChannelFigures run_real(const LinkModel& link, const std::string& policy, std::uint64_t seed,
                        std::int64_t span_us) {
    Host b(policy, seed + 1000);
    const auto address = b.transport->listen("tcp://127.0.0.1:*");
    if (!address) throw std::runtime_error(address.error().message());
    test::Relay relay;
    const int port = relay.add(port_of(*address),
                               {link.bytes_per_s, link.bytes_per_s, link.delay_us, link.jitter_us});
    Host a(policy, seed);
    const PeerLinkId to_b = a.hub->dial("tcp://127.0.0.1:" + std::to_string(port)).value();
    std::atomic<bool> stop = false;
    std::thread receiver([&] {
        while (!stop) b.hub->poll(kTurnUs);
    });
    while (a.listener.up.empty()) a.hub->poll(kTurnUs);
    turn(a, nullptr, steady_clock().now_us() + kProbedWithinUs);
    ChannelLoadOptions options;
    options.prefill = true;
    options.seed = seed;
    ChannelLoad load(steady_clock(), *a.hub, to_b, options);
    const ChannelStats begin = a.hub->stats(to_b);
    turn(a, &load, steady_clock().now_us() + span_us);
    const ChannelStats end = a.hub->stats(to_b);
    stop = true;
    receiver.join();
    const double carried = link.bytes_per_s * static_cast<double>(span_us) / 1e6;
    ChannelFigures figures;
    figures.busy = static_cast<double>(end.sent_wire_bytes - begin.sent_wire_bytes) / carried;
    set_waits(figures, b.listener.times_us, link.delay_us);
    set_shares(figures, begin, end, carried);
    return figures;
}

}  // namespace molink::bench
