// When a paced link may send again, by the rate that is known. saturated_link_test tests the rest
// of the meter with whole links.
#include "channel/link_meter.h"

#include "support/catch.h"

using namespace molink;

TEST_CASE(
    "link meter: bytes sent while the known rate was far too low count at the corrected rate") {
    LinkMeter meter(10'000);
    meter.set_probed(10'000, 0);
    // A train of 64 KiB would keep 10 kB/s busy for more than six seconds.
    REQUIRE(meter.next_send_us(0, 65'536) > 6'000'000);
    meter.set_probed(1e6, 100'000);
    REQUIRE(meter.free_us() > 150'000);
    REQUIRE(meter.free_us() < 200'000);
    // A lower rate applies to later bytes only.
    const std::int64_t free_us = meter.free_us();
    meter.set_probed(10'000, 110'000);
    REQUIRE(meter.free_us() == free_us);
}
