// Rows of int8: the format of protocol 3.0, and the one with exact values beside the groups.
#include "tensor/int8_rows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "base/random.h"
#include "support/catch.h"
#include "tensor/activation_codec.h"

namespace molink {
namespace {

constexpr std::size_t kWidths[] = {1, 3, 4, 5, 63, 64, 65, 100, 256};

std::vector<float> random_row(Random& random, std::size_t width) {
    std::vector<float> row(width);
    for (float& value : row) {
        value = static_cast<float>(random.uniform() - 0.5) * static_cast<float>(random.below(1000));
    }
    return row;
}

std::vector<float> round_trip(const std::vector<float>& row, std::int32_t exact_values) {
    const ActivationFormat format{DataType::int8, exact_values};
    const Bytes bytes = encode_activations(format, row, row.size()).bytes;
    REQUIRE(bytes.size() == int8_row_bytes(row.size(), exact_values));
    std::vector<float> out(row.size(), 5.0f);
    REQUIRE(read_int8_rows(bytes, row.size(), exact_values, out).ok());
    return out;
}

/// Returns the indices of the `count` largest magnitudes, the lower index first among equals.
std::set<std::size_t> largest(const std::vector<float>& row, std::size_t count) {
    std::vector<std::size_t> order(row.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::fabs(row[a]) > std::fabs(row[b]);
    });
    order.resize(std::min(count, order.size()));
    return {order.begin(), order.end()};
}

/// Requires that the exact values are exact, and the others within half a step of their group.
void require_close(const std::vector<float>& row, std::int32_t exact_values) {
    const std::vector<float> out = round_trip(row, exact_values);
    const auto exact = largest(row, static_cast<std::size_t>(exact_values));
    for (std::size_t i = 0; i < row.size(); ++i) {
        if (exact.contains(i)) {
            REQUIRE(out[i] == row[i]);
            continue;
        }
        float peak = 0;
        for (std::size_t k = i / 64 * 64; k < std::min(i / 64 * 64 + 64, row.size()); ++k) {
            if (!exact.contains(k)) peak = std::max(peak, std::fabs(row[k]));
        }
        REQUIRE(std::fabs(out[i] - row[i]) <= peak / 127 * 0.5001f);
    }
}

}  // namespace

TEST_CASE("int8 keeps every value within half a step of its group, and exact values exactly") {
    Random random(11);
    for (const std::size_t width : kWidths) {
        for (const std::int32_t exact : {0, 1, 4, 64}) {
            for (int round = 0; round < 5; ++round) require_close(random_row(random, width), exact);
        }
    }
}

TEST_CASE("four outliers of a row no longer cost the other values their bits") {
    Random random(4);
    std::vector<float> row(512);
    for (float& value : row) value = static_cast<float>(random.uniform() - 0.5);
    for (const std::size_t outlier : {10u, 11u, 200u, 511u}) row[outlier] *= 200;
    const auto worst = [&](std::int32_t exact) {
        const std::vector<float> out = round_trip(row, exact);
        float error = 0;
        for (std::size_t i = 0; i < row.size(); ++i) {
            error = std::max(error, std::fabs(out[i] - row[i]));
        }
        return error;
    };
    CHECK(worst(0) > 0.05f);
    CHECK(worst(4) < 0.003f);
}

TEST_CASE("among equal magnitudes the lower index is exact") {
    std::vector<float> row(130, 0.0f);
    for (const std::size_t i : {5u, 70u, 71u, 100u, 129u}) row[i] = 1.0f / 3;
    const ActivationFormat format{DataType::int8, 4};
    const Bytes bytes = encode_activations(format, row, row.size()).bytes;
    std::set<std::uint16_t> indices;
    for (std::size_t i = 0; i < 4; ++i) indices.insert(read_le<std::uint16_t>(bytes, 6 * i));
    CHECK(indices == std::set<std::uint16_t>{5, 70, 71, 100});
}

TEST_CASE("rows of more than 65536 values have wider indices") {
    Random random(8);
    std::vector<float> row(70'000);
    for (float& value : row) value = static_cast<float>(random.uniform() - 0.5);
    row[69'999] = 900;
    CHECK(int8_row_bytes(row.size(), 4) == int8_row_bytes(row.size(), 0) + 4 * 8);
    CHECK(round_trip(row, 4)[69'999] == 900);
}

TEST_CASE("the format of protocol 3.0 is unchanged") {
    const std::vector<float> row{0.0f, 127.0f, -63.5f, 1.49f};
    const Bytes bytes = encode_activations({DataType::int8}, row, 4).bytes;
    REQUIRE(bytes.size() == 8);
    CHECK(read_le<std::uint32_t>(bytes, 0) == 0x3f800000u);  // 1.0
    const std::vector<int> expected{0, 127, -64, 1};
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK(static_cast<int>(static_cast<std::int8_t>(bytes[4 + i])) == expected[i]);
    }
}

TEST_CASE("int8 has scales per row, keeps zeros, and turns a group with infinity into NaN") {
    std::vector<float> row(64, 0.0f);
    row[0] = 1e30f;
    CHECK(round_trip(row, 0)[0] == Approx(1e30f));
    CHECK(round_trip(row, 0)[1] == 0.0f);
    row.assign(128, 1.0f);
    row[3] = std::numeric_limits<float>::infinity();
    const std::vector<float> group = round_trip(row, 0);
    CHECK(std::isnan(group[0]));
    CHECK(group[64] == Approx(1.0f));
    for (const float value : round_trip(row, 4)) CHECK(std::isnan(value));
    for (const float value : round_trip({std::nanf(""), 1.0f}, 4)) CHECK(std::isnan(value));
}

TEST_CASE("int8 is at most 30 % of f32 on the wire from 512 values on") {
    for (const std::size_t width : {512u, 768u, 2048u, 4096u}) {
        CHECK(int8_row_bytes(width, kExactValues) * 10 <= width * 4 * 3);
    }
}

TEST_CASE("an exact value outside its row is refused") {
    Bytes bytes = encode_activations({DataType::int8, 1}, std::vector<float>(8, 1.0f), 8).bytes;
    write_le(std::span(bytes), 0, std::uint16_t{8});
    std::vector<float> out(8);
    const Status status = read_int8_rows(bytes, 8, 1, out);
    CHECK(status.code() == StatusCode::data_loss);
    CHECK(status.message() ==
          "decode activations: an exact value of row 0 is not among its 8 values");
}

}  // namespace molink
