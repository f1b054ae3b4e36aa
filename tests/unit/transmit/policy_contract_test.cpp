// The contract of transmit policies, checked on random views with seeds, and the promises of each
// built-in policy.
#include <functional>

#include <molink/transmit.h>

#include "base/random.h"
#include "support/catch.h"

using namespace molink;

namespace {

using Factory = std::function<std::unique_ptr<TransmitPolicy>()>;

TransmitView random_view(Random& random) {
    TransmitView view;
    view.now_us = static_cast<std::int64_t>(random.below(1'000'000'000));
    view.max_frame_bytes = 1 + random.below(16'384);
    view.hol_bound_us = static_cast<std::int64_t>(random.below(20'000));
    view.link.bytes_per_s = random.below(2) == 0 ? 0 : static_cast<double>(random.below(1u << 30));
    for (LaneView& lane : view.lanes) {
        if (random.below(2) == 0) continue;
        lane.queued_messages = 1 + random.below(5);
        lane.front_bytes = random.below(8) == 0 ? 0 : random.below(1u << 20);
        lane.queued_bytes = lane.front_bytes + random.below(1u << 20);
        lane.front_queued_us = view.now_us - static_cast<std::int64_t>(random.below(1'000'000));
    }
    return view;
}

void check_contract(const Factory& make) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        INFO("seed " << seed);
        Random random(seed);
        auto policy = make();
        auto twin = make();
        CHECK_FALSE(policy->name().empty());
        for (int i = 0; i < 500; ++i) {
            const TransmitView view = random_view(random);
            const TransmitPlan plan = policy->next(view);
            const TransmitPlan again = twin->next(view);
            CHECK(
                (plan.send == again.send && plan.lane == again.lane && plan.bytes == again.bytes));
            bool any = false;
            for (const LaneView& lane : view.lanes) any = any || lane.queued_messages > 0;
            REQUIRE(plan.send == any);
            if (!any) continue;
            const LaneView& lane = view.lanes[static_cast<std::size_t>(plan.lane)];
            REQUIRE(lane.queued_messages > 0);
            REQUIRE(plan.bytes <= std::min(lane.front_bytes, view.max_frame_bytes));
            REQUIRE((plan.bytes > 0 || lane.front_bytes == 0));
        }
    }
}

/// Returns the share of bytes that each lane gets when all of `lanes` always have messages.
std::vector<double> shares(TransmitPolicy& policy, const std::vector<Lane>& lanes) {
    std::vector<double> sent(kLaneCount);
    TransmitView view;
    view.max_frame_bytes = 16'384;
    view.hol_bound_us = 10'000;
    view.link.bytes_per_s = 12.5e6;
    double sum = 0;
    std::size_t left[kLaneCount] = {};
    for (int i = 0; i < 20'000; ++i) {
        for (Lane lane : lanes) {
            const auto at = static_cast<std::size_t>(lane);
            if (left[at] == 0) left[at] = lane == Lane::decode ? 40'000 : 21'000'000;
            view.lanes[at].queued_messages = 2;
            view.lanes[at].front_bytes = left[at];
            view.lanes[at].queued_bytes = 2 * left[at];
        }
        const TransmitPlan plan = policy.next(view);
        left[static_cast<std::size_t>(plan.lane)] -= plan.bytes;
        sent[static_cast<std::size_t>(plan.lane)] += static_cast<double>(plan.bytes);
        sum += static_cast<double>(plan.bytes);
    }
    for (double& bytes : sent) bytes /= sum;
    return sent;
}

}  // namespace

TEST_CASE("every policy gives valid and repeatable plans", "[transmit]") {
    check_contract(make_fifo_transmit_policy);
    check_contract(make_strict_transmit_policy);
    check_contract([] { return make_fair_transmit_policy(); });
    check_contract([] { return make_fair_transmit_policy({0.9, 0.5}); });
    check_contract([] { return make_fair_transmit_policy({-3, 1e9}); });
}

TEST_CASE("fair keeps the guaranteed shares", "[transmit]") {
    const auto policy = make_fair_transmit_policy({0.2, 0.02});
    const auto two = shares(*policy, {Lane::decode, Lane::prefill});
    CHECK(two[2] == Approx(0.8).margin(0.02));
    CHECK(two[3] == Approx(0.2).margin(0.02));
    const auto three = shares(*policy, {Lane::decode, Lane::prefill, Lane::bulk});
    CHECK(three[3] >= 0.18);
    CHECK(three[4] >= 0.015);
    CHECK(three[2] > 0.7);
    const auto bulky = shares(*policy, {Lane::prefill, Lane::bulk});
    CHECK(bulky[3] > 0.9);
    CHECK(bulky[4] >= 0.015);
}

TEST_CASE("strict starves less urgent lanes, and fifo ignores lanes", "[transmit]") {
    const auto strict = make_strict_transmit_policy();
    CHECK(shares(*strict, {Lane::decode, Lane::prefill})[2] == 1.0);

    const auto fifo = make_fifo_transmit_policy();
    TransmitView view;
    view.max_frame_bytes = 100;
    view.lanes[3] = {1, 250, 250, 10, 0};
    view.lanes[2] = {1, 50, 50, 20, 0};
    CHECK(fifo->next(view).lane == Lane::prefill);
    view.lanes[3].front_bytes = 150;
    CHECK(fifo->next(view).lane == Lane::prefill);
    view.lanes[0] = {1, 10, 10, 30, 0};
    CHECK(fifo->next(view).lane == Lane::control);
    view.lanes[0] = {};
    view.lanes[3].front_bytes = 50;
    CHECK(fifo->next(view).lane == Lane::prefill);
    view.lanes[3] = {};
    CHECK(fifo->next(view).lane == Lane::decode);
}
