// Random numbers. Their values are fixed, because they decide which tokens a seed gives. Other
// tests check how they depend on seed and counter, and roughly that they are uniform.
#include "base/random.h"

#include <array>
#include <bit>
#include <set>

#include "support/catch.h"

namespace molink {

TEST_CASE("mix64 is the finaliser of SplitMix64") {
    // First outputs of SplitMix64 from state 0, as published with the generator.
    Random random(0);
    CHECK(random.next() == 0xe220a8397b1dcdafull);
    CHECK(random.next() == 0x6e789e6aa1b965f4ull);
    CHECK(random.next() == 0x06c45d188009454full);
    CHECK(mix64(0) == 0);
}

TEST_CASE("counter_random depends on all of its inputs and on nothing else") {
    std::set<std::uint64_t> seen;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        for (std::uint64_t position = 0; position < 100; ++position) {
            for (std::uint64_t draw = 0; draw < 3; ++draw) {
                seen.insert(counter_random(seed, position, draw));
            }
        }
    }
    CHECK(seen.size() == 10 * 100 * 3);
    static_assert(counter_random(1, 2) == counter_random(1, 2, 0));
    static_assert(counter_random(1, 2) != counter_random(2, 1));
}

TEST_CASE("the numbers of a seed never change") {
    CHECK(counter_random(0, 0) == 0x1cd364143cce4aaeull);
    CHECK(counter_random(1, 2, 3) == 0xfd832bc5946a59adull);
}

TEST_CASE("neighbouring positions differ in about half of the bits") {
    int bits = 0;
    constexpr int kPairs = 10'000;
    for (std::uint64_t i = 0; i < kPairs; ++i) {
        bits += std::popcount(counter_random(42, i) ^ counter_random(42, i + 1));
    }
    CHECK(bits > kPairs * 31);
    CHECK(bits < kPairs * 33);
}

TEST_CASE("unit_double stays below one") {
    CHECK(unit_double(0) == 0.0);
    CHECK(unit_double(~0ull) < 1.0);
    CHECK(unit_double(1ull << 63) == 0.5);
}

TEST_CASE("uniform and below fill their ranges evenly") {
    Random random(7);
    std::array<int, 10> of_uniform{};
    std::array<int, 10> of_below{};
    for (int i = 0; i < 100'000; ++i) {
        ++of_uniform[static_cast<std::size_t>(random.uniform() * 10)];
        ++of_below[random.below(10)];
    }
    for (std::size_t i = 0; i < 10; ++i) {
        CHECK(of_uniform[i] > 9'500);
        CHECK(of_uniform[i] < 10'500);
        CHECK(of_below[i] > 9'500);
        CHECK(of_below[i] < 10'500);
    }
}

}  // namespace molink
