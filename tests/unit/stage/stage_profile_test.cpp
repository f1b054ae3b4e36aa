// Service times from rooflines and tables, against sums done by hand.
#include "stage/stage_profile.h"

#include "support/catch.h"

using namespace molink;

namespace {

DeviceProfile device() {
    DeviceProfile device;
    device.memory_gb_per_s = 100;  // 1e5 bytes per us
    device.tflops = 1;             // 1e6 operations per us
    device.memory_efficiency = 0.5;
    device.compute_efficiency = 0.25;
    device.launch_us = 7;
    return device;
}

StageCost cost() {
    StageCost cost;
    cost.layer_bytes = 1e6;
    cost.layer_row_flops = 1e6;
    cost.position_bytes = 1e3;
    cost.position_flops = 2e3;
    cost.head_bytes = 5e6;
    cost.head_row_flops = 1e5;
    return cost;
}

}  // namespace

TEST_CASE("a roofline is the larger of reading and computing") {
    const StageProfile profile(device(), cost());
    // One row: 1e6 bytes at 5e4 per us against 1e6 operations at 2.5e5 per us.
    CHECK(profile.layer_us(PartKind::decode, {1, 1, 0, 0}) == Approx(7 + 20));
    CHECK(profile.layer_us(PartKind::decode, {1, 1, 500, 500}) == Approx(7 + 30));
    CHECK(profile.layer_us(PartKind::decode, {100, 100, 0, 0}) == Approx(7 + 400));
    CHECK(profile.layer_us(PartKind::prefill, {100, 0, 5000, 100}) == Approx(7 + 440));
    CHECK(profile.head_us(0) == 0);
    CHECK(profile.head_us(1) == Approx(7 + 100));
    CHECK(profile.head_us(1000) == Approx(7 + 400));
    CHECK(profile.part_us(PartKind::decode, {1, 1, 0, 0}, 3, false) == Approx(3 * 27));
    CHECK(profile.part_us(PartKind::decode, {1, 1, 0, 0}, 3, true) == Approx(3 * 27 + 107));
    CHECK(profile.part_us(PartKind::prefill, {1, 0, 0, 0}, 3, true) == Approx(3 * 27));
}

TEST_CASE("a table is linear between its rows and beyond them") {
    DeviceProfile measured = device();
    measured.decode = {{1, 10}, {5, 18}, {10, 48}};
    measured.prefill = {{1, 100}};
    const StageProfile profile(measured, cost());
    const auto decode = [&](std::int32_t rows) {
        return profile.layer_us(PartKind::decode, {rows, rows, 0, 0});
    };
    CHECK(decode(1) == Approx(10));
    CHECK(decode(3) == Approx(14));
    CHECK(decode(5) == Approx(18));
    CHECK(decode(6) == Approx(24));
    CHECK(decode(20) == Approx(108));
    CHECK(profile.layer_us(PartKind::prefill, {512, 0, 0, 0}) == Approx(100));
    CHECK(profile.head_us(4) == 0);
    measured.head = {{1, 3}};
    CHECK(StageProfile(measured, cost()).head_us(4) == Approx(3));
}

TEST_CASE("built-in devices have names, and only these") {
    for (const char* name : {"rtx-3090", "rtx-4090", "rtx-2080-ti", "a100"}) {
        const auto found = device_profile(name);
        REQUIRE(found.has_value());
        CHECK(found->name == name);
        CHECK(found->memory_gib > 0);
    }
    const auto unknown = device_profile("h100");
    REQUIRE_FALSE(unknown.has_value());
    CHECK(unknown.error().message().find("rtx-2080-ti") != std::string::npos);
}
