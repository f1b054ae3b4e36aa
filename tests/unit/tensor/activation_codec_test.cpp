// The codec of activations: every half and bfloat16 value and every rounding case has the same bits
// as the scalar conversions of tensor/dtype.h, which dtype_test checks. Rows that hold no numbers,
// or numbers that the format cannot express, are reported. int8_rows_test tests int8.
#include "tensor/activation_codec.h"

#include <bit>
#include <cmath>
#include <limits>

#include <molink/partitioner.h>

#include "base/random.h"
#include "support/catch.h"
#include "tensor/dtype.h"

namespace molink {
namespace {

using Rows = std::vector<std::uint32_t>;

constexpr DataType kTypes[] = {DataType::f32, DataType::f16, DataType::bf16, DataType::int8};

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
    const Bytes bytes = encode_activations({type}, values, values.size()).bytes;
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
    REQUIRE(decode_activations({type}, {}, bytes, out, out.size()).ok());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const float right = expected(static_cast<std::uint16_t>(i));
        if (std::bit_cast<std::uint32_t>(out[i]) != std::bit_cast<std::uint32_t>(right)) ++wrong;
    }
    return wrong;
}

/// Encodes and decodes rows.
std::vector<float> round_trip(const ActivationFormat& format, const std::vector<float>& values,
                              std::size_t width, EncodedRows& encoded) {
    encoded = encode_activations(format, values, width);
    std::vector<float> out(values.size(), -1);
    REQUIRE(decode_activations(format, encoded.bf16_rows, encoded.bytes, out, width).ok());
    return out;
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
    const Bytes bytes = encode_activations({DataType::f32}, values, values.size()).bytes;
    REQUIRE(bytes.size() == 4 * values.size());
    std::vector<float> out(values.size());
    REQUIRE(decode_activations({DataType::f32}, {}, bytes, out, out.size()).ok());
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
        for (std::size_t count = 1; count < 1200; ++count) {
            std::vector<float> values(count);
            for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 251) - 125;
            EncodedRows encoded;
            REQUIRE(round_trip({type}, values, count, encoded) == values);
            REQUIRE(encoded.bytes.size() == activation_bytes({type}, 1, count));
        }
    }
}

TEST_CASE("no rows are no bytes") {
    for (const DataType type : kTypes) {
        CHECK(encode_activations(newest_format(type), {}, 16).bytes.empty());
        CHECK(encode_activations(newest_format(type), {}, 0).bytes.empty());
        CHECK(decode_activations(newest_format(type), {}, {}, {}, 16).ok());
    }
}

TEST_CASE("a row of f16 with a value above 65504 travels as bf16, and the others do not") {
    const std::size_t width = 700;  // more than a block
    Random random(2);
    std::vector<float> values(4 * width);
    for (float& value : values) value = static_cast<float>(random.uniform() - 0.5);
    values[width + 300] = 65519.0f;      // rounds to 65504
    values[2 * width + 650] = 65520.0f;  // the least magnitude that rounds to infinity
    values[3 * width] = -3.0e38f;
    EncodedRows encoded;
    const auto out = round_trip(newest_format(DataType::f16), values, width, encoded);
    CHECK(encoded.bf16_rows == Rows{2, 3});
    CHECK(encoded.not_finite.empty());
    CHECK(encoded.too_large.empty());
    CHECK(encoded.bytes.size() == activation_bytes({DataType::f16}, 4, width));
    for (std::size_t i = 0; i < out.size(); ++i) {
        const bool wide = i >= 2 * width;
        REQUIRE(out[i] ==
                (wide ? bf16_to_f32(f32_to_bf16(values[i])) : f16_to_f32(f32_to_f16(values[i]))));
    }
}

TEST_CASE("peers that do not know of bf16 rows get infinity, and the row is reported") {
    const std::vector<float> values{1, 2, 3, 70'000};
    EncodedRows encoded;
    const auto out = round_trip({DataType::f16}, values, 2, encoded);
    CHECK(encoded.bf16_rows.empty());
    CHECK(encoded.too_large == Rows{1});
    CHECK(std::isinf(out[3]));
}

TEST_CASE("rows that are not numbers are reported and stay visible in every format") {
    const float infinity = std::numeric_limits<float>::infinity();
    for (const DataType type : kTypes) {
        for (const bool newest : {false, true}) {
            for (const float bad : {std::nanf(""), infinity, -infinity}) {
                const ActivationFormat format =
                    newest ? newest_format(type) : ActivationFormat{type};
                std::vector<float> values(3 * 100, 0.5f);
                values[100 + 77] = bad;
                EncodedRows encoded;
                const auto out = round_trip(format, values, 100, encoded);
                CHECK(encoded.not_finite == Rows{1});
                CHECK(encoded.too_large.empty());
                CHECK(encoded.bf16_rows.empty());
                CHECK_FALSE(std::isfinite(out[177]));
                CHECK(out[77] == Approx(0.5f));
                CHECK(out[277] == Approx(0.5f));
            }
        }
    }
}

TEST_CASE("a value that only f32 can express is reported by the other formats") {
    const float largest = std::numeric_limits<float>::max();
    for (const DataType type : kTypes) {
        EncodedRows encoded;
        const auto out = round_trip(newest_format(type), {1, 2, -largest, 4}, 2, encoded);
        CHECK(encoded.not_finite.empty());
        CHECK(encoded.too_large == (type == DataType::f32 ? Rows{} : Rows{1}));
        CHECK(out[0] == Approx(1.0f));
    }
    EncodedRows encoded;
    const float fits = std::bit_cast<float>(0x7f7f7fffu);  // rounds to the largest bf16
    CHECK(std::isfinite(round_trip({DataType::bf16}, {fits}, 1, encoded).front()));
    CHECK(encoded.too_large.empty());
}

TEST_CASE("a row encodes to the same bytes alone and among others") {
    Random random(6);
    for (const DataType type : kTypes) {
        const ActivationFormat format = newest_format(type);
        std::vector<float> values(5 * 130);
        for (float& value : values) value = static_cast<float>(random.uniform() - 0.5) * 1e5f;
        const Bytes all = encode_activations(format, values, 130).bytes;
        for (std::size_t row = 0; row < 5; ++row) {
            const Bytes one =
                encode_activations(format, std::span(values).subspan(row * 130, 130), 130).bytes;
            REQUIRE(std::equal(one.begin(), one.end(),
                               all.begin() + static_cast<std::ptrdiff_t>(row * one.size())));
        }
    }
}

TEST_CASE("what does not match is refused") {
    std::vector<float> out(4);
    const Status status = decode_activations({DataType::f16}, {}, Bytes(7), out, 4);
    CHECK(status.code() == StatusCode::data_loss);
    CHECK(status.message() == "decode activations: 7 bytes for 4 values of f16; 8 are needed");
    CHECK(decode_activations({DataType::q8_0}, {}, Bytes(8), out, 4).code() ==
          StatusCode::invalid_argument);
    const Rows rows{1};
    CHECK(decode_activations({DataType::f16}, rows, Bytes(8), out, 4).message() ==
          "decode activations: row 1 of 1 is said to be bf16");
    CHECK(activation_bytes({DataType::q8_0}, 1, 32) == 0);
    CHECK(activation_bytes({DataType::i32}, 1, 32) == 0);
}

TEST_CASE("the size of a row is the one that the codec writes") {
    const std::int32_t hidden = 200;  // the last of four groups is short
    const std::vector<float> values(hidden, 1.0f);
    for (const DataType type : kTypes) {
        const Bytes row = encode_activations(newest_format(type), values, values.size()).bytes;
        CHECK(activation_row_bytes(type, hidden) == static_cast<std::int64_t>(row.size()));
    }
    CHECK(activation_row_bytes(DataType::int8, hidden) == 200 + 4 * 4 + 4 * 6);
    CHECK(activation_row_bytes(DataType::q8_0, hidden) == 0);
    CHECK(activation_row_bytes(DataType::f32, -1) == 0);
}

}  // namespace molink
