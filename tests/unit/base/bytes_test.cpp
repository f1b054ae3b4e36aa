// Little-endian reads and writes, and hashes that are compared between machines.
#include "base/bytes.h"

#include <limits>
#include <set>
#include <string>

#include "base/hash.h"
#include "support/catch.h"

namespace molink {
namespace {

template <typename T>
void check_round_trip(T value) {
    Bytes bytes(sizeof(T) + 3, std::byte{0xaa});
    write_le(std::span(bytes), 2, value);
    CHECK(read_le<T>(bytes, 2) == value);
    CHECK(bytes.front() == std::byte{0xaa});
    CHECK(bytes[1] == std::byte{0xaa});
    CHECK(bytes.back() == std::byte{0xaa});
}

}  // namespace

TEST_CASE("integers are written with the low byte first") {
    Bytes bytes(8);
    write_le(std::span(bytes), 0, std::uint64_t{0x0102030405060708ull});
    for (std::size_t i = 0; i < 8; ++i) CHECK(bytes[i] == static_cast<std::byte>(8 - i));
    CHECK(read_le<std::uint16_t>(bytes, 0) == 0x0708);
    CHECK(read_le<std::uint32_t>(bytes, 3) == 0x02030405);
}

TEST_CASE("integers of every width and sign round trip") {
    check_round_trip<std::uint8_t>(0xfe);
    check_round_trip<std::int8_t>(-128);
    check_round_trip<std::int16_t>(-2);
    check_round_trip<std::uint16_t>(0xffff);
    check_round_trip<std::int32_t>(std::numeric_limits<std::int32_t>::min());
    check_round_trip<std::uint32_t>(0x80000000u);
    check_round_trip<std::int64_t>(std::numeric_limits<std::int64_t>::min());
    check_round_trip<std::uint64_t>(~0ull);
}

TEST_CASE("hashes separate lengths, contents and seeds") {
    std::set<std::uint64_t> seen;
    std::string text;
    for (int i = 0; i < 200; ++i) {
        seen.insert(hash_string(text));
        seen.insert(hash_string(text, 1));
        text.push_back('\0');
    }
    CHECK(seen.size() == 400);
    // Every bit of a long input counts.
    Bytes bytes(67);
    seen.clear();
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
        seen.insert(hash_bytes(bytes));
        bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    }
    CHECK(seen.size() == bytes.size() * 8);
}

TEST_CASE("hashes never change") {
    CHECK(hash_string("") == 0xf52a15e9a9b5e89bull);
    CHECK(hash_string("molink") == 0x0c8c5532c7872d9full);
    CHECK(hash_string("a longer text of more than eight bytes", 7) == 0xb0253a4a6f91e48bull);
    CHECK(hash_string("abc") == hash_bytes(std::as_bytes(std::span("abc", 3))));
}

}  // namespace molink
