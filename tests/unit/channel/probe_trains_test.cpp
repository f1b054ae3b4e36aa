// Probe trains over simulated links: the rate that they find when a host gets no CPU now and then,
// or when delays jitter.
#include <cstdint>
#include <optional>

#include "base/random.h"
#include "channel/probe_trains.h"
#include "support/catch.h"
#include "unit/channel/sim_network.h"

namespace molink::test {
namespace {

constexpr double kMbit = 125e3;
constexpr std::int64_t kStepUs = 50;
constexpr std::int64_t kTrials = 20;

/// Decides when a host runs: it has and has not the CPU in turns of random length.
class Turns {
public:
    /// Takes the mean lengths of the turns. With `without_us` 0 the host always runs.
    Turns(std::uint64_t seed, std::uint64_t with_us, std::uint64_t without_us)
        : random_(seed), with_us_(with_us), without_us_(without_us) {}
    bool runs(std::int64_t now_us) {
        if (without_us_ == 0) return true;
        while (now_us >= until_us_) {
            runs_ = !runs_;
            const std::uint64_t mean = runs_ ? with_us_ : without_us_;
            until_us_ = now_us + 1 + static_cast<std::int64_t>(random_.below(2 * mean));
        }
        return runs_;
    }

private:
    Random random_;
    std::uint64_t with_us_;
    std::uint64_t without_us_;
    std::int64_t until_us_ = 0;
    bool runs_ = false;
};

struct Busy {
    std::uint64_t with_us = 1;
    std::uint64_t without_us = 0;
};

/// Returns the rate in bytes/s that trains find for a link to a busy host, or 0 when it is too fast
/// to measure. Returns nullopt when the trains do not end in time.
std::optional<double> probed(const LinkModel& there, const LinkModel& back, const Busy& busy,
                             std::int64_t trial) {
    Pair pair;
    pair.net.network.set_link("host-1", "host-2", there);
    pair.net.network.set_link("host-2", "host-1", back);
    if (!pair.join()) return std::nullopt;
    pair.a.hub->probe(pair.link, false);
    Turns turns(static_cast<std::uint64_t>(trial), busy.with_us, busy.without_us);
    const auto until = [&](auto done) {
        for (const std::int64_t end = pair.net.clock.now + 2'000'000; !done();) {
            if (pair.net.clock.now > end) return false;
            pair.a.hub->poll(0);
            if (turns.runs(pair.net.clock.now)) pair.b.hub->poll(0);
            pair.net.clock.now += kStepUs;
        }
        return true;
    };
    const auto answered = [&] { return pair.a.hub->pending_bytes(pair.link) == 0; };
    if (!until(answered)) return std::nullopt;  // the train of join()
    const std::int64_t words = 8 + trial % 3;   // some get a quick answer; jitter differs by trial
    for (std::int64_t i = 0; i < words; ++i) {
        (void)pair.a.hub->send(pair.link, Lane::control, epoch_of(0), pattern(20, 1));
        if (!until(answered)) return std::nullopt;
    }
    pair.a.hub->probe(pair.link, true);
    if (!until([&] { return pair.a.hub->stats(pair.link).probed; })) return std::nullopt;
    return pair.a.hub->stats(pair.link).probed_bytes_per_s;
}

/// Sends a train over a link with a shortest round trip of 10 ms. All of its frames arrive at once.
void bunched(ProbeTrains& trains, std::uint64_t first, std::int64_t round_trip_us) {
    const auto now = static_cast<std::int64_t>(first) * 1'000'000;
    trains.begin(first, 16'384, now);
    const std::uint64_t last = first + ProbeTrains::kFrames - 1;
    CHECK_FALSE(trains.on_ack({last, 5, 0, 10'000, false}, now + round_trip_us));
}

}  // namespace

TEST_CASE("a slow link is not taken as unlimited when its frames are seen together", "[channel]") {
    const LinkModel link = {100 * kMbit, 15'000, 0};
    for (const Busy& busy : {Busy{500, 5'000}, Busy{2'000, 10'000}, Busy{10'000, 10'000}}) {
        for (std::int64_t trial = 0; trial < kTrials; ++trial) {
            INFO("trial " << trial << ", " << busy.with_us << " us of CPU");
            const auto rate = probed(link, link, busy, trial);
            REQUIRE(rate.has_value());
            CHECK(*rate > 0);
            CHECK(*rate < 200 * kMbit);
        }
    }
}

TEST_CASE("a fast link is taken as unlimited, and to a busy host not as slow", "[channel]") {
    const LinkModel link = {1000 * kMbit, 1'000, 0};
    CHECK(probed(link, link, {}, 0) == 0);
    CHECK(probed({0, 15'000, 0}, {0, 15'000, 0}, {}, 0) == 0);
    CHECK(probed(link, {kMbit, 15'000, 0}, {}, 0) == 0);
    for (std::int64_t trial = 0; trial < kTrials; ++trial) {
        INFO("trial " << trial);
        CHECK(probed(link, link, {10'000, 10'000}, trial) == 0);
        const auto rate = probed(link, link, {2'000, 2'000}, trial);
        REQUIRE(rate.has_value());
        CHECK((*rate == 0 || *rate > 150 * kMbit));
    }
}

TEST_CASE("trains end in time in spite of jitter", "[channel]") {
    for (double mbit : {30.0, 100.0}) {
        const LinkModel link = {mbit * kMbit, 30'000, 15'000};
        for (std::int64_t trial = 0; trial < 3; ++trial) {
            INFO("trial " << trial << ", " << mbit << " Mbit/s");
            const auto rate = probed(link, link, {}, trial);
            REQUIRE(rate.has_value());
            CHECK(*rate > mbit / 3 * kMbit);
            CHECK(*rate < mbit * 2 * kMbit);
        }
    }
}

TEST_CASE("after six bunched trains the fastest one gives a lower bound of the rate", "[channel]") {
    ProbeTrains trains;
    trains.restart(0);
    for (std::uint64_t train = 1; train <= 6; ++train) {
        CHECK_FALSE(trains.settled());
        bunched(trains, 4 * train, train == 4 ? 16'000 : 25'000);
    }
    CHECK(trains.settled());
    CHECK(trains.rate(10'000) == Approx(65'536 / 6e-3));
}

TEST_CASE("a single late train does not hide a fast link", "[channel]") {
    ProbeTrains trains;
    trains.restart(0);
    bunched(trains, 4, 25'000);
    CHECK(trains.rate(10'000) == Approx(65'536 / 15e-3));
    bunched(trains, 8, 11'500);
    bunched(trains, 12, 12'000);
    CHECK_FALSE(trains.settled());
    bunched(trains, 16, 12'000);
    CHECK(trains.settled());
    CHECK(trains.rate(10'000) == 0);
}

}  // namespace molink::test
