// The ring as the adaptive scheduler reckons with it.
#include "sched/ring_model.h"

#include <vector>

#include "support/catch.h"

using namespace molink;

TEST_CASE("rows that go back to the LM head load the last link, of a prefill part one") {
    std::vector<StageView> stages(2);
    for (StageView& stage : stages) {
        stage.row_bytes = 10'000;
        stage.link_to_next.bytes_per_s = 1e6;
    }
    SchedulerView view;
    view.stages = stages;
    const double decode = RingModel(view).service_us(PartKind::decode, 8);
    const double prefill = RingModel(view).service_us(PartKind::prefill, 8);
    stages[1].return_row_bytes = 10'000;
    REQUIRE(RingModel(view).service_us(PartKind::decode, 8) == Approx(decode + 80'000));
    REQUIRE(RingModel(view).service_us(PartKind::prefill, 8) == Approx(prefill + 10'000));
    REQUIRE(RingModel(view).slowest_us(PartKind::decode, 8) > 80'000);
}
