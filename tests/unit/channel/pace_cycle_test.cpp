// The pace of a sender in cycles, and the times of frames by which a cycle is judged.
#include "channel/pace_cycle.h"

#include "base/limits.h"
#include "channel/way_times.h"
#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::int64_t kRoundUs = 100'000;
constexpr std::int64_t kBoundUs = 10'000;

}  // namespace

TEST_CASE("a cycle is faster than the rate, then slower for as long, then at the rate") {
    PaceCycle cycle;
    cycle.begin({}, 0, 0, 1, kRoundUs, kBoundUs);
    // The queue grows by a quarter of this stretch, which stays within half of the bound.
    REQUIRE(cycle.pace(0) == 1.25);
    REQUIRE(cycle.pace(19'999) == 1.25);
    REQUIRE(cycle.pace(20'000) == 0.75);
    REQUIRE(cycle.pace(39'999) == 0.75);
    REQUIRE(cycle.pace(40'000) == limits::kPaceOfRate);
    REQUIRE_FALSE(cycle.over(8 * kRoundUs - 1, 1, kRoundUs));
    REQUIRE(cycle.over(8 * kRoundUs, 1, kRoundUs));
    REQUIRE(cycle.over(2 * kRoundUs, 1.2, kRoundUs));  // a higher rate was found
}

TEST_CASE("fast stretches become longer and faster until a queue is seen") {
    PaceCycle cycle;
    const auto next = [&](std::int64_t queue_us = 0) {
        cycle.begin({}, 0, queue_us, 1, kRoundUs, kBoundUs);
    };
    next();
    next();
    REQUIRE(cycle.pace(39'999) == 1.25);
    next();
    next();
    REQUIRE(cycle.pace(99'999) == 1.25);
    next();
    REQUIRE(cycle.pace(0) == 1.375);
    cycle.note_limit();
    next();
    REQUIRE(cycle.pace(20'000) == 0.75);
}

TEST_CASE("a cycle that begins with a queue has no faster stretch") {
    PaceCycle cycle;
    cycle.begin({}, 1'000'000, kBoundUs, 1, kRoundUs, kBoundUs);
    REQUIRE(cycle.pace(1'000'000) == limits::kPaceOfRate);
    cycle.note_queue(7'000);
    cycle.note_queue(9'000);
    REQUIRE(cycle.least_queue_us() == 7'000);
    REQUIRE(cycle.whole());
    cycle.interrupt();
    REQUIRE_FALSE(cycle.whole());
}

TEST_CASE("times of a direction: the shortest, a queue, and a delay that has grown") {
    WayTimes times(kBoundUs);
    REQUIRE(times.shortest_us() == 0);
    std::int64_t now = 0;
    const auto frame = [&](std::int64_t way_us, std::int64_t back_us) {
        now += 1'000;
        // The clock of the peer is 5 s ahead.
        times.note({Track::bulky, way_us + back_us, now, now + way_us + 5'000'000}, now);
    };
    for (int i = 0; i < 8; ++i) frame(10'000, 20'000);
    REQUIRE(times.shortest_us() == 30'000);
    REQUIRE(times.queue_us(Track::bulky) == 0);
    REQUIRE(times.slowest_back_us() == 30'000);
    for (int i = 0; i < 8; ++i) frame(17'000, 20'000);
    REQUIRE(times.queue_us(Track::bulky) == 7'000);
    REQUIRE(times.shortest_us() == 30'000);
    REQUIRE(times.smoothed_us() > 30'000);
    times.raise(7'000);
    REQUIRE(times.queue_us(Track::bulky) == 0);
}
