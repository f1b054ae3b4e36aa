// The codec of activations: every half and bfloat16 value and every rounding case has the same bits
// as the scalar conversions of tensor/dtype.h, which dtype_test checks.
#include "tensor/activation_codec.h"

#include <bit>
#include <cmath>

#include <molink/partitioner.h>

#include "base/random.h"
#include "support/catch.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

/// Returns floats around every rounding boundary of both 16-bit formats, and random bit patterns.
std::vector<float> hard_values() {
    std::vector<float> values;
    for (std::uint32_t high = 0; high < 65536; ++high) {
        for (const std::uint32_t low :
             {0x0000u, 0x0001u, 0x0fffu, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
            values.push_back(std::bit_cast<float>((high << 16) | low));
        }
    }
    Random random(3);
    for (int i = 0; i < 100'000; ++i) {
        values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(random.next())));
    }
    return values;
}

std::size_t count_wrong_halves(DataType type, const std::vector<float>& values,
                               std::uint16_t (*expected)(float)) {
    const Bytes bytes = encode_activations(type, values, values.size());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (read_le<std::uint16_t>(bytes, 2 * i) != expected(values[i])) ++wrong;
    }
    return wrong;
}

std::size_t count_wrong_floats(DataType type, float (*expected)(std::uint16_t)) {
    Bytes bytes(2 * 65536);
    for (std::size_t i = 0; i < 65536; ++i) {
        write_le(std::span(bytes), 2 * i, static_cast<std::uint16_t>(i));
    }
    std::vector<float> out(65536);
    REQUIRE(decode_activations(type, bytes, out, out.size()).ok());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const float right = expected(static_cast<std::uint16_t>(i));
        if (std::bit_cast<std::uint32_t>(out[i]) != std::bit_cast<std::uint32_t>(right)) ++wrong;
    }
    return wrong;
}

}  // namespace

TEST_CASE("narrowing gives the bits of the scalar conversions") {
    const std::vector<float> values = hard_values();
    CHECK(count_wrong_halves(DataType::f16, values, f32_to_f16) == 0);
    CHECK(count_wrong_halves(DataType::bf16, values, f32_to_bf16) == 0);
}

TEST_CASE("widening gives the bits of the scalar conversions") {
    CHECK(count_wrong_floats(DataType::f16, f16_to_f32) == 0);
    CHECK(count_wrong_floats(DataType::bf16, bf16_to_f32) == 0);
}

TEST_CASE("f32 activations keep every bit") {
    const std::vector<float> values = hard_values();
    const Bytes bytes = encode_activations(DataType::f32, values, values.size());
    REQUIRE(bytes.size() == 4 * values.size());
    std::vector<float> out(values.size());
    REQUIRE(decode_activations(DataType::f32, bytes, out, out.size()).ok());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(values[i]);
        if (std::bit_cast<std::uint32_t>(out[i]) != bits) ++wrong;
        if (read_le<std::uint32_t>(bytes, 4 * i) != bits) ++wrong;
    }
    CHECK(wrong == 0);
}

TEST_CASE("every length round trips in every type") {
    for (const DataType type : {DataType::f32, DataType::f16, DataType::bf16}) {
        for (std::size_t count = 0; count < 1200; ++count) {
            std::vector<float> values(count);
            for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 251) - 125;
            const Bytes bytes = encode_activations(type, values, values.size());
            REQUIRE(bytes.size() == activation_bytes(type, 1, count));
            std::vector<float> out(count, -1);
            REQUIRE(decode_activations(type, bytes, out, out.size()).ok());
            REQUIRE(out == values);
        }
    }
}

TEST_CASE("int8 keeps every value within half a step of its group") {
    Random random(11);
    for (const std::size_t width : {1u, 63u, 64u, 65u, 100u, 256u}) {
        std::vector<float> values(5 * width);
        for (float& value : values) {
            value =
                static_cast<float>(random.uniform() - 0.5) * static_cast<float>(random.below(1000));
        }
        const Bytes bytes = encode_activations(DataType::int8, values, width);
        REQUIRE(bytes.size() == 5 * (width + (width + 63) / 64 * 4));
        std::vector<float> out(values.size());
        REQUIRE(decode_activations(DataType::int8, bytes, out, width).ok());
        for (std::size_t i = 0; i < values.size(); ++i) {
            const std::size_t row = i / width * width;
            const std::size_t group = row + (i - row) / 64 * 64;
            float largest = 0;
            for (std::size_t k = group; k < std::min(group + 64, row + width); ++k) {
                largest = std::max(largest, std::fabs(values[k]));
            }
            REQUIRE(std::fabs(out[i] - values[i]) <= largest / 127 * 0.5001f);
        }
    }
}

TEST_CASE("int8 has scales per row, keeps zeros, and turns a group with infinity into NaN") {
    std::vector<float> values(128, 0.0f);
    values[0] = 1e30f;    // first row
    values[64] = 1e-30f;  // second row
    values[65] = -1e-30f;
    std::vector<float> out(128, 5.0f);
    Bytes bytes = encode_activations(DataType::int8, values, 64);
    REQUIRE(decode_activations(DataType::int8, bytes, out, 64).ok());
    CHECK(out[0] == Approx(1e30f));
    CHECK(out[1] == 0.0f);
    CHECK(out[64] == Approx(1e-30f));
    CHECK(out[65] == Approx(-1e-30f));
    values[3] = std::numeric_limits<float>::infinity();
    bytes = encode_activations(DataType::int8, values, 64);
    REQUIRE(decode_activations(DataType::int8, bytes, out, 64).ok());
    CHECK(std::isnan(out[0]));
    CHECK(out[64] == Approx(1e-30f));
}

TEST_CASE("int8 is at most 30 % of f32 on the wire") {
    for (const std::size_t width : {256u, 768u, 2048u, 4096u}) {
        CHECK(activation_bytes(DataType::int8, 1, width) * 10 <=
              activation_bytes(DataType::f32, 1, width) * 3);
    }
}

TEST_CASE("a size that does not match is refused") {
    std::vector<float> out(4);
    const Status status = decode_activations(DataType::f16, Bytes(7), out, 4);
    CHECK(status.code() == StatusCode::data_loss);
    CHECK(status.message() == "decode activations: 7 bytes for 4 values of f16; 8 are needed");
    CHECK(decode_activations(DataType::q8_0, Bytes(8), out, 4).code() ==
          StatusCode::invalid_argument);
    CHECK(activation_bytes(DataType::q8_0, 1, 32) == 0);
    CHECK(activation_bytes(DataType::i32, 1, 32) == 0);
}

TEST_CASE("the size of a row is the one that the codec writes") {
    const std::int32_t hidden = 200;  // the last of four groups is short
    const std::vector<float> values(hidden, 1.0f);
    for (DataType type : {DataType::f32, DataType::f16, DataType::bf16, DataType::int8}) {
        const Bytes row = encode_activations(type, values, values.size());
        CHECK(activation_row_bytes(type, hidden) == static_cast<std::int64_t>(row.size()));
    }
    CHECK(activation_row_bytes(DataType::int8, hidden) == 200 + 4 * 4);
    CHECK(activation_row_bytes(DataType::q8_0, hidden) == 0);
    CHECK(activation_row_bytes(DataType::f32, -1) == 0);
}

}  // namespace molink
