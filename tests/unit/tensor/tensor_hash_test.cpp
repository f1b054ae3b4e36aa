// The hash of tensors: stable values, and every change that a fault makes is seen.
#include "tensor/tensor_hash.h"

#include <algorithm>
#include <set>
#include <string>

#include "base/bytes.h"
#include "base/random.h"
#include "support/catch.h"

using namespace molink;

namespace {

Bytes random_bytes(std::size_t count) {
    Random random(7);
    Bytes bytes(count);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
    return bytes;
}

}  // namespace

TEST_CASE("hashes are the same on every machine and in every release", "[tensor_hash]") {
    const Bytes bytes = random_bytes(300);
    CHECK(hash_rows(bytes.data(), 0, 3, 100).text() == "4d8855d47ff17adeede84fca50a061c0");
    CHECK(hash_rows(bytes.data(), 5, 1, 64).text() == "3e083ea261753efe5413cbf35ca3a21f");
    CHECK(TensorHash{1, 2}.text() == "00000000000000020000000000000001");
}

TEST_CASE("a changed bit changes the hash, wherever it is", "[tensor_hash]") {
    for (const std::size_t size : {1, 15, 16, 17, 63, 64, 65, 200}) {
        Bytes bytes = random_bytes(size);
        const TensorHash whole = hash_rows(bytes.data(), 0, 1, size);
        for (std::size_t bit = 0; bit < 8 * size; ++bit) {
            bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
            const TensorHash changed = hash_rows(bytes.data(), 0, 1, size);
            bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
            REQUIRE(changed.low != whole.low);
            REQUIRE(changed.high != whole.high);
        }
    }
}

TEST_CASE("equal changes of two places do not cancel", "[tensor_hash]") {
    constexpr std::size_t kSize = 512;
    std::set<std::string> seen;
    Bytes bytes(kSize);
    seen.insert(hash_rows(bytes.data(), 0, 1, kSize).text());
    for (std::size_t first = 0; first < kSize; first += 8) {
        for (std::size_t second = first + 8; second < kSize; second += 8) {
            bytes[first + 7] ^= std::byte{0x80};  // the sign of a number
            bytes[second + 7] ^= std::byte{0x80};
            REQUIRE(seen.insert(hash_rows(bytes.data(), 0, 1, kSize).text()).second);
            bytes[second + 3] ^= std::byte{0x80};
            REQUIRE(seen.insert(hash_rows(bytes.data(), 0, 1, kSize).text()).second);
            bytes[second + 3] ^= std::byte{0x80};
            bytes[first + 7] ^= std::byte{0x80};
            bytes[second + 7] ^= std::byte{0x80};
        }
    }
}

TEST_CASE("rows have their places, sizes and number", "[tensor_hash]") {
    Bytes bytes = random_bytes(256);
    const TensorHash whole = hash_rows(bytes.data(), 0, 4, 64);
    std::rotate(bytes.begin(), bytes.begin() + 64, bytes.end());
    CHECK(hash_rows(bytes.data(), 0, 4, 64) != whole);
    std::rotate(bytes.begin(), bytes.begin() + 192, bytes.end());
    CHECK(hash_rows(bytes.data(), 0, 4, 64) == whole);
    CHECK(hash_rows(bytes.data(), 0, 2, 128) != whole);
    CHECK(hash_rows(bytes.data(), 1, 4, 64) != whole);
    TensorHash sum = hash_rows(bytes.data() + 128, 2, 2, 64);
    sum += hash_rows(bytes.data(), 0, 2, 64);
    CHECK(sum == whole);
    const Bytes zeros(256);
    CHECK(hash_rows(zeros.data(), 0, 4, 64) != hash_rows(zeros.data(), 0, 3, 64));
    CHECK(hash_rows(zeros.data(), 0, 0, 64) == TensorHash());
}
