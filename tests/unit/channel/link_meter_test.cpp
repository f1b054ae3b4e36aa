// What the pace of a link owes, by the rate that is known. The rest of the meter is tested with
// whole links: saturated_link_test.
#include "channel/link_meter.h"

#include "support/catch.h"

using namespace molink;

TEST_CASE("link meter: what went out at a rate far too low is paid for at the corrected one") {
    LinkMeter meter(10'000);
    meter.set_probed(10'000, 0);
    // A train of 64 KiB would keep 10 kB/s busy for more than six seconds.
    REQUIRE(meter.next_send_us(0, 65'536) > 6'000'000);
    meter.set_probed(1e6, 100'000);
    REQUIRE(meter.free_us() > 150'000);
    REQUIRE(meter.free_us() < 200'000);
    // A lower rate counts for what comes, not for what has gone.
    const std::int64_t free_us = meter.free_us();
    meter.set_probed(10'000, 110'000);
    REQUIRE(meter.free_us() == free_us);
}
