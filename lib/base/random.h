#pragma once

#include <cstdint>

namespace molink {

/// Mixes 64 bits (the SplitMix64 finaliser). Bijective.
constexpr std::uint64_t mix64(std::uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9ull;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/// Counter-based random number. The same (seed, position, draw) gives the same 64 bits on every
/// machine.
constexpr std::uint64_t counter_random(std::uint64_t seed, std::uint64_t position,
                                       std::uint64_t draw = 0) {
    constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ull;
    return mix64(mix64(mix64(seed + kGolden) ^ (position + kGolden)) + (draw + 1) * kGolden);
}

/// Converts 53 random bits to a double in [0, 1).
constexpr double unit_double(std::uint64_t bits) {
    return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

/// Seeded generator for tests, simulation and random weights. Not suitable for keys.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() { return mix64(state_ += 0x9e3779b97f4a7c15ull); }
    /// Returns a uniform number in [0, bound), bound > 0. The bias is below 2^-32 for bounds below
    /// 2^32.
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    double uniform() { return unit_double(next()); }

private:
    std::uint64_t state_;
};

/// Returns 64 bits from the system's entropy source, for seeds that are not set and for link
/// tokens.
std::uint64_t system_seed();

}  // namespace molink
