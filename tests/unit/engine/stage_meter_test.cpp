// The stage meter: service times of a stage, as a line over rows, from the times of its parts.
#include "engine/stage_meter.h"

#include <array>
#include <random>

#include "support/catch.h"

using namespace molink;

namespace {

/// A meter of one stage with a profile of 2 ms and 300 us per row, for decode and for prefill.
class OneStage {
public:
    OneStage() {
        view_[0].decode = view_[0].prefill = {2'000, 300};
        meter_.reset(view_);
    }

    void add(std::int32_t rows, double us) {
        const StageTime time{static_cast<std::uint32_t>(us), 0};
        meter_.add(PartKind::prefill, rows, std::span(&time, 1));
    }

    /// Adds parts of `least` to `most` rows whose times scatter around `line`.
    void add_scattered(std::uint64_t seed, std::int32_t least, std::int32_t most,
                       const ServiceTime& line, double deviation_us) {
        std::mt19937_64 random(seed);
        std::uniform_int_distribution<std::int32_t> rows(least, most);
        std::normal_distribution<double> noise(0, deviation_us);
        for (int i = 0; i < 200; ++i) {
            const std::int32_t size = rows(random);
            add(size, line.at(size) + noise(random));
        }
    }

    ServiceTime prefill() {
        meter_.fill(view_);
        CHECK(view_[0].decode.base_us == 2'000);  // no decode part ran
        CHECK(view_[0].decode.row_us == 300);
        return view_[0].prefill;
    }

private:
    std::array<StageView, 1> view_;
    StageMeter meter_;
};

}  // namespace

TEST_CASE("stage meter: parts of different sizes give the line") {
    OneStage stage;
    stage.add_scattered(1, 16, 256, {5'000, 150}, 2'000);
    const ServiceTime line = stage.prefill();
    CHECK(line.row_us == Approx(150).epsilon(0.1));
    CHECK(line.at(128) == Approx(5'000 + 150 * 128).epsilon(0.05));
}

TEST_CASE("stage meter: scattered times of parts of nearly one size keep the slope") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        INFO("seed " << seed);
        OneStage stage;
        stage.add_scattered(seed, 60, 68, {2'000, 300}, 6'000);
        const ServiceTime line = stage.prefill();
        CHECK(line.row_us == Approx(300).epsilon(0.25));
        CHECK(line.at(64) == Approx(2'000 + 300 * 64).epsilon(0.2));
    }
}

TEST_CASE("stage meter: parts of one size move the base") {
    OneStage stage;
    for (int i = 0; i < 300; ++i) stage.add(64, 40'000);
    const ServiceTime line = stage.prefill();
    CHECK(line.row_us == Approx(300).epsilon(0.01));
    CHECK(line.at(64) == Approx(40'000).epsilon(0.01));
    for (int i = 0; i < 300; ++i) stage.add(64, 10'000);  // less than the slope alone predicts
    CHECK(stage.prefill().at(64) == Approx(10'000).epsilon(0.05));
}

TEST_CASE("stage meter: large decode parts of one size take the slope of prefill") {
    std::array<StageView, 1> view;
    view[0].decode = {15'000, 2'000};
    view[0].prefill = {14'000, 3'000};
    const auto slope_at = [&](std::int32_t rows, std::uint32_t us) {
        StageMeter meter;
        meter.reset(view);
        const StageTime time{us, 0};
        for (int i = 0; i < 300; ++i) meter.add(PartKind::decode, rows, std::span(&time, 1));
        std::array<StageView, 1> seen = view;
        meter.fill(seen);
        CHECK(seen[0].decode.at(rows) == Approx(us).epsilon(0.01));
        return seen[0].decode.row_us;
    };
    CHECK(slope_at(4, 23'000) == Approx(2'000).epsilon(0.01));
    CHECK(slope_at(16, 54'000) == Approx(3'000).epsilon(0.01));
}

TEST_CASE("stage meter: no part takes less than reading the weights") {
    OneStage stage;
    for (int i = 0; i < 300; ++i) stage.add(64, 19'200);  // the profile's slope, and no base
    CHECK(stage.prefill().at(64) == Approx(19'200).epsilon(0.01));
    CHECK(stage.prefill().at(1) == Approx(2'300));  // a decode row by the profile
    stage.add(2, 1'500);
    CHECK(stage.prefill().least_us == 1'500);
}
