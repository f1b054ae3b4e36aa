// Measures how long an urgent frame waits on a link that others saturate, and how busy the link is:
// every transmit policy over several links, medians over seeds, in virtual time or (--real) over
// sockets. Waits count from the first byte of the load, so they include the time in which the
// channel finds its rate. The goal is the head-of-line bound plus one frame.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "channel_load.h"
#include "channel_real.h"
#include "sim/sim_clock.h"
#include "sim/sim_network.h"

namespace molink::bench {
namespace {

struct Link {
    const char* name;
    LinkModel forth;
    LinkModel back;
};

/// The differences from a saturated link whose rate probes have found.
struct Scene {
    const char* name;
    double probed_at = 1;  ///< rate of the link while probes measured it
    bool probed = true;
    std::int64_t back_jitter_us = 0;
    std::int64_t decode_alone_us = 0;
    std::int64_t forth_jitter_us = 0;
    double later_times = 1;           ///< factor of the rate after a quarter of the time
    std::int64_t later_delay_us = 0;  ///< added to its delay then
    bool both_ways = false;
    bool prefill = true;
    bool bulk = false;
    bool decode_backlog = false;
};

constexpr std::int64_t kProbedWithinUs = 2'000'000;
constexpr std::int64_t kMeasureUs = 20'000'000;

struct Host {
    Host(sim::SimNetwork& network, const sim::SimClock& clock, const std::string& name,
         const HubOptions& options)
        : transport(network, name), listener(clock) {
        hub = make_channel_hub(transport, clock, listener, options);
        listener.hub = hub.get();
    }
    sim::SimTransport transport;
    ChannelListener listener;
    std::unique_ptr<ChannelHub> hub;
};

class VirtualRun {
public:
    VirtualRun(const Link& link, const Scene& scene, const std::string& policy, std::uint64_t seed)
        : link_(link),
          scene_(scene),
          seed_(seed),
          network_(clock_, seed),
          a_(network_, clock_, "a", options(policy, seed)),
          b_(network_, clock_, "b", options(policy, seed + 1000)) {
        network_.padded = true;
        link_.back.jitter_us += scene.back_jitter_us;
        link_.forth.jitter_us += scene.forth_jitter_us;
    }

    ChannelFigures run();

private:
    static HubOptions options(const std::string& policy, std::uint64_t seed) {
        HubOptions options;
        options.seed = seed;
        options.channel.padding = padding;
        options.policy = [policy] { return std::move(*make_transmit_policy(policy)); };
        return options;
    }
    void set_link(double times) {
        LinkModel forth = link_.forth;
        forth.bytes_per_s *= times;
        network_.set_link("a", "b", forth);
        network_.set_link("b", "a", link_.back);
    }
    ChannelLoad load(Host& from, const ChannelLoadOptions& options) {
        return ChannelLoad(clock_, *from.hub, from.listener.up.front(), options);
    }
    /// Advances time by `span_us` while `loads` keep the link busy.
    void advance(std::int64_t span_us, std::vector<std::pair<Host*, ChannelLoad*>> loads);
    std::int64_t busy_us() const;

    Link link_;
    Scene scene_;
    std::uint64_t seed_;
    sim::SimClock clock_;
    sim::SimNetwork network_;
    Host a_;
    Host b_;
};

void VirtualRun::advance(std::int64_t span_us, std::vector<std::pair<Host*, ChannelLoad*>> loads) {
    const std::int64_t end = clock_.now + span_us;
    while (true) {
        for (auto& [host, load] : loads) {
            if (load->tick()) host->transport.wake();
        }
        std::int64_t next = end;
        for (Host* host : {&a_, &b_}) next = std::min(next, host->transport.next_event_us());
        for (auto& [host, load] : loads) next = std::min(next, load->next_us());
        clock_.now = std::max(clock_.now, next);
        if (clock_.now >= end) return;
        for (Host* host : {&a_, &b_}) {
            if (host->transport.next_event_us() <= clock_.now) host->hub->poll(sim::kNever);
        }
    }
}

std::int64_t VirtualRun::busy_us() const {
    std::int64_t busy = 0;
    for (const auto& [pair, traffic] : network_.traffic()) {
        if (pair.first != "a") continue;
        for (std::int64_t us : traffic.busy_us) busy += us;
    }
    return busy;
}

ChannelFigures VirtualRun::run() {
    set_link(scene_.probed_at);
    (void)b_.transport.listen("inproc://b");
    const PeerLinkId link = *a_.hub->dial("inproc://b");
    while (a_.listener.up.empty() || b_.listener.up.empty()) advance(1'000, {});
    if (scene_.probed) advance(kProbedWithinUs, {});
    set_link(1);
    ChannelLoadOptions options;
    options.seed = seed_;
    options.padded = true;
    if (scene_.decode_alone_us > 0) {
        ChannelLoad alone = load(a_, options);
        advance(scene_.decode_alone_us, {{&a_, &alone}});
        b_.listener.times_us.clear();
    }
    options.prefill = scene_.prefill;
    options.bulk = scene_.bulk;
    options.decode_backlog = scene_.decode_backlog;
    ChannelLoad forth = load(a_, options);
    options.seed += 1'000'000;
    ChannelLoad back = load(b_, options);
    std::vector<std::pair<Host*, ChannelLoad*>> loads{{&a_, &forth}};
    if (scene_.both_ways) loads.emplace_back(&b_, &back);
    const ChannelStats begin = a_.hub->stats(link);
    const std::int64_t busy = busy_us();
    advance(kMeasureUs / 4, loads);
    link_.forth.delay_us += scene_.later_delay_us;
    set_link(scene_.later_times);
    advance(kMeasureUs - kMeasureUs / 4, loads);
    ChannelFigures figures;
    figures.busy = static_cast<double>(busy_us() - busy) / static_cast<double>(kMeasureUs);
    set_waits(figures, b_.listener.times_us, link_.forth.delay_us);
    set_shares(figures, begin, a_.hub->stats(link),
               link_.forth.bytes_per_s * static_cast<double>(kMeasureUs) / 1e6);
    if (!a_.listener.lost.empty()) std::printf("link lost: %s\n", a_.listener.lost.c_str());
    return figures;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

void print_heading() {
    std::printf("%-21s %-17s %-7s %8s %8s %8s %8s %8s %8s %8s %8s\n", "link", "case", "policy",
                "p50 ms", "p99 ms", "max ms", "goal ms", "busy %", "prefill%", "bulk %", "share %");
}

void print_row(const Link& link, const Scene& scene, const std::string& policy,
               const std::vector<ChannelFigures>& runs) {
    const auto of = [&](const std::function<double(const ChannelFigures&)>& value) {
        std::vector<double> values;
        for (const ChannelFigures& run : runs) values.push_back(value(run));
        return median(values);
    };
    const double frame_ms = std::max(std::min(16384.0, link.forth.bytes_per_s * 0.002), 1400.0) *
                            1e3 / link.forth.bytes_per_s;
    std::printf("%-21s %-17s %-7s", link.name, scene.name, policy.c_str());
    for (std::size_t i = 0; i < 3; ++i) {
        std::printf(" %8.2f", of([i](const auto& run) { return run.wait_ms[i]; }));
    }
    std::printf(" %8.2f %8.2f %8.2f %8.2f %8.2f\n", 10 + frame_ms,
                100 * of([](const auto& run) { return run.busy; }),
                100 * of([](const auto& run) { return run.prefill_rate; }),
                100 * of([](const auto& run) { return run.bulk_rate; }),
                100 * of([](const auto& run) { return run.prefill_share; }));
    std::fflush(stdout);
}

constexpr Link kLinks[] = {
    {"1 Gbit/s 1 ms", {125e6, 1'000, 0}, {125e6, 1'000, 0}},
    {"100 Mbit/s 15 ms", {12.5e6, 15'000, 0}, {12.5e6, 15'000, 0}},
    {"100 Mbit/s 30 ms", {12.5e6, 30'000, 0}, {12.5e6, 30'000, 0}},
    {"30 Mbit/s 50 ms", {3.75e6, 50'000, 0}, {3.75e6, 50'000, 0}},
    {"100/10 Mbit/s 30 ms", {12.5e6, 30'000, 0}, {1.25e6, 30'000, 0}},
    {"10/100 Mbit/s 30 ms", {1.25e6, 30'000, 0}, {12.5e6, 30'000, 0}},
};
constexpr Link kNarrow = {"5 Mbit/s 30 ms", {0.625e6, 30'000, 0}, {0.625e6, 30'000, 0}};
constexpr const char* kPolicies[] = {"fifo", "strict", "fair"};

std::vector<Scene> saturated_scenes() {
    return {
        {.name = "saturated"},
        {.name = "ack jitter 15 ms", .back_jitter_us = 15'000},
        {.name = "rate 10 % high", .probed_at = 1 / 0.9},
        {.name = "rate 10 % low", .probed_at = 1 / 1.1},
        {.name = "after decode", .decode_alone_us = 10'000'000},
        {.name = "from the start", .probed = false},
        {.name = "both ways", .both_ways = true},
        {.name = "jitter both 15 ms", .back_jitter_us = 15'000, .forth_jitter_us = 15'000},
        {.name = "rate halved", .later_times = 0.5},
        {.name = "rate doubled", .later_times = 2},
        {.name = "delay 20 ms longer", .later_delay_us = 20'000},
        {.name = "with bulk", .bulk = true},
        {.name = "bulk alone", .prefill = false, .bulk = true},
    };
}

struct Options {
    int seeds = 3;
    bool real = false;
    std::string only;  // part of "link|scene|policy"; empty: all
};

void run_row(const Link& link, const Scene& scene, const char* policy, const Options& options) {
    const std::string all = std::string(link.name) + "|" + scene.name + "|" + policy;
    if (all.find(options.only) == std::string::npos) return;
    std::vector<ChannelFigures> runs;
    for (int seed = 1; seed <= options.seeds; ++seed) {
        runs.push_back(VirtualRun(link, scene, policy, static_cast<std::uint64_t>(seed)).run());
    }
    print_row(link, scene, policy, runs);
}

void run_all(const Options& options) {
    print_heading();
    for (const Link& link : kLinks) {
        for (const Scene& scene : saturated_scenes()) {
            for (const char* policy : kPolicies) run_row(link, scene, policy, options);
        }
    }
    const Scene bound{.name = "decode, 128 rows", .decode_backlog = true};
    for (const char* policy : kPolicies) run_row(kNarrow, bound, policy, options);
}

void run_real_rows(const Options& options) {
    print_heading();
    for (const char* policy : kPolicies) {
        for (std::int64_t jitter_us : {0, 15'000}) {
            const Link link{"100 Mbit/s 30 ms", {12.5e6, 30'000, jitter_us}, {}};
            const Scene scene{.name = jitter_us > 0 ? "real, jitter" : "real"};
            const std::string all = std::string(link.name) + "|" + scene.name + "|" + policy;
            if (all.find(options.only) == std::string::npos) continue;
            std::vector<ChannelFigures> runs;
            for (int seed = 1; seed <= options.seeds; ++seed) {
                runs.push_back(
                    run_real(link.forth, policy, static_cast<std::uint64_t>(seed), kMeasureUs / 2));
            }
            print_row(link, scene, policy, runs);
        }
    }
}

}  // namespace
}  // namespace molink::bench

int main(int argc, char** argv) {
    molink::bench::Options options;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            options.seeds = std::max(1, std::atoi(argv[++i]));
        } else if (std::strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            options.only = argv[++i];
        } else if (std::strcmp(argv[i], "--real") == 0) {
            options.real = true;
        } else {
            std::printf("usage: channel_bench [--real] [--seeds N] [--only TEXT]\n");
            return 2;
        }
    }
    if (options.real) {
        molink::bench::run_real_rows(options);
    } else {
        molink::bench::run_all(options);
    }
    return 0;
}
