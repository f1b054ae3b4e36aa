// The spacing of decode parts beside prompts, on hand-made rings.
#include "sched/decode_spacing.h"

#include <vector>

#include "support/catch.h"

using namespace molink;

namespace {

/// One stage on which a part takes 10 ms plus 1 ms per row.
struct OneStage {
    OneStage() {
        stages[0].decode = {10'000, 1'000};
        stages[0].prefill = {10'000, 1'000};
        view.stages = stages;
    }
    double spacing_us(std::int32_t rows, std::int32_t potential) const {
        const RingModel ring(view);
        return decode_spacing_us(ring, ring.decode_load(rows, 1), potential);
    }

    std::vector<StageView> stages = std::vector<StageView>(1);
    SchedulerView view;
};

}  // namespace

TEST_CASE("decode spacing: small parts waste a fiftieth of the time") {
    const OneStage ring;
    // A part of 10 rows takes 20 ms. A part of 40 rows takes 50 ms, 12.5 ms of it for these 10.
    REQUIRE(ring.spacing_us(10, 40) == Approx((20'000 - 12'500) / 0.02));
    // Nearly all sequences decode already.
    REQUIRE(ring.spacing_us(39, 40) == Approx(250 / 0.02));
}

TEST_CASE("decode spacing: there is none when larger parts gain nothing") {
    OneStage ring;
    REQUIRE(ring.spacing_us(40, 40) == 0);
    REQUIRE(ring.spacing_us(0, 40) == 0);
    ring.stages[0].decode = {0, 1'000};
    REQUIRE(ring.spacing_us(10, 40) == Approx(0));
}

TEST_CASE("decode spacing: there is none when prompts wait for a link") {
    OneStage ring;
    ring.stages[0].row_bytes = 10'000;
    ring.stages[0].link_to_next.bytes_per_s = 1e6;
    REQUIRE(ring.spacing_us(10, 40) == 0);
    ring.stages[0].link_to_next.bytes_per_s = 1e9;
    REQUIRE(ring.spacing_us(10, 40) > 0);
}
