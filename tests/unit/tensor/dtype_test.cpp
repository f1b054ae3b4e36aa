// Compares conversions of 16-bit floats with an oracle in double precision, which follows the
// definition of the formats: the nearest of the two neighbours, and the even one on a tie.
#include "tensor/dtype.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/random.h"
#include "support/catch.h"

namespace molink {
namespace {

/// A 16-bit float format: 1 sign bit, `exponent_bits`, and the rest for the mantissa.
struct Format {
    int exponent_bits;
    int mantissa_bits() const { return 15 - exponent_bits; }
    int bias() const { return (1 << (exponent_bits - 1)) - 1; }
    std::uint16_t infinity() const {
        return static_cast<std::uint16_t>(((1 << exponent_bits) - 1) << mantissa_bits());
    }
    /// Returns the value of finite bits without sign. The bits of infinity give the next power of
    /// two.
    double value(std::uint16_t bits) const {
        const int exponent = bits >> mantissa_bits();
        const int mantissa = bits & ((1 << mantissa_bits()) - 1);
        if (exponent == 0) return std::ldexp(mantissa, 1 - bias() - mantissa_bits());
        return std::ldexp(mantissa + (1 << mantissa_bits()), exponent - bias() - mantissa_bits());
    }
    /// Returns the bits nearest to a number that is not NaN, by bisection over the magnitudes.
    std::uint16_t nearest(double number) const {
        const std::uint16_t sign = std::signbit(number) ? 0x8000 : 0;
        const double magnitude = std::fabs(number);
        std::uint16_t low = 0;
        std::uint16_t high = infinity();
        if (magnitude >= value(high)) return static_cast<std::uint16_t>(sign | high);
        while (high - low > 1) {
            const auto middle = static_cast<std::uint16_t>((low + high) / 2);
            (value(middle) <= magnitude ? low : high) = middle;
        }
        const double below = magnitude - value(low);
        const double above = value(high) - magnitude;
        const bool up = above < below || (above == below && (low & 1) == 1);
        return static_cast<std::uint16_t>(sign | (up ? high : low));
    }
};

constexpr Format kHalf{5};
constexpr Format kBfloat{8};

std::vector<float> rounding_cases(const Format& format) {
    std::vector<float> values;
    for (std::uint32_t bits = 0; bits < format.infinity(); ++bits) {
        const double low = format.value(static_cast<std::uint16_t>(bits));
        const double high = format.value(static_cast<std::uint16_t>(bits + 1));
        const auto middle = static_cast<float>((low + high) / 2);
        for (const float value : {static_cast<float>(low), middle, std::nextafterf(middle, 0.0f),
                                  std::nextafterf(middle, INFINITY)}) {
            values.push_back(value);
            values.push_back(-value);
        }
    }
    Random random(9);
    for (int i = 0; i < 200'000; ++i) {
        const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
        if (!std::isnan(value)) values.push_back(value);
    }
    return values;
}

template <typename Narrow>
std::size_t count_wrong(const Format& format, Narrow narrow) {
    std::size_t wrong = 0;
    for (const float value : rounding_cases(format)) {
        if (narrow(value) != format.nearest(value)) ++wrong;
    }
    return wrong;
}

}  // namespace

TEST_CASE("narrowing rounds to nearest even") {
    CHECK(count_wrong(kHalf, [](float value) { return f32_to_f16(value); }) == 0);
    CHECK(count_wrong(kBfloat, [](float value) { return f32_to_bf16(value); }) == 0);
}

TEST_CASE("all 65536 values widen exactly and come back") {
    std::size_t wrong = 0;
    for (std::uint32_t i = 0; i < 65536; ++i) {
        const auto bits = static_cast<std::uint16_t>(i);
        const auto magnitude = static_cast<std::uint16_t>(bits & 0x7fff);
        const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
        const float half = f16_to_f32(bits);
        const float bfloat = bf16_to_f32(bits);
        if (magnitude < kHalf.infinity() && half != sign * kHalf.value(magnitude)) ++wrong;
        if (magnitude < kBfloat.infinity() && bfloat != sign * kBfloat.value(magnitude)) ++wrong;
        if (magnitude > kHalf.infinity() != std::isnan(half)) ++wrong;
        if (magnitude > kBfloat.infinity() != std::isnan(bfloat)) ++wrong;
        if (!std::isnan(half) && f32_to_f16(half) != bits) ++wrong;
        if (!std::isnan(bfloat) && f32_to_bf16(bfloat) != bits) ++wrong;
    }
    CHECK(wrong == 0);
    CHECK(f16_to_f32(0x7c00) == std::numeric_limits<float>::infinity());
    CHECK(bf16_to_f32(0xff80) == -std::numeric_limits<float>::infinity());
    CHECK(std::signbit(f16_to_f32(0x8000)));
}

TEST_CASE("edges of the 16-bit formats") {
    CHECK(f32_to_f16(65504.0f) == 0x7bff);
    CHECK(f32_to_f16(65519.99f) == 0x7bff);
    CHECK(f32_to_f16(65520.0f) == 0x7c00);
    CHECK(f32_to_f16(0x1.0p-25f) == 0);
    CHECK(f32_to_f16(0x1.000002p-25f) == 1);
    CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
    // A NaN whose payload lies in the bits that are cut off must not become an infinity.
    const float nan = std::bit_cast<float>(0x7f800001u);
    CHECK(std::isnan(f16_to_f32(f32_to_f16(nan))));
    CHECK(std::isnan(bf16_to_f32(f32_to_bf16(nan))));
}

TEST_CASE("sizes of types") {
    CHECK(data_type_bytes(DataType::f32) == 4);
    CHECK(data_type_bytes(DataType::i32) == 4);
    CHECK(data_type_bytes(DataType::f16) == 2);
    CHECK(data_type_bytes(DataType::bf16) == 2);
    CHECK(data_type_bytes(DataType::q8_0) == 0);
}

}  // namespace molink
