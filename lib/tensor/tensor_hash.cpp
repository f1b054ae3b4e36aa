// Hashes weights while they are loaded, so it must be much faster than packing them. Four lanes of
// 128 bits take 16 bytes each per round: a product of two words that are mixed with the lane, both
// halves of which stay in the lane. Both factors depend on the data, so no pattern of changes (such
// as signs that are flipped) cancels itself; a change goes unnoticed with a chance of about 2^-64.
// Relies on 128-bit integers of the compiler.
#include "tensor/tensor_hash.h"

#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "base/random.h"

namespace molink {
namespace {

__extension__ typedef unsigned __int128 Wide;

/// 128 bits of state.
struct HashLane {
    std::uint64_t a;
    std::uint64_t b;

    void absorb(std::uint64_t first, std::uint64_t second) {
        const Wide product = static_cast<Wide>(first ^ a) * (second ^ b);
        a = std::rotl(a, 23) + static_cast<std::uint64_t>(product);
        b = std::rotl(b, 41) + static_cast<std::uint64_t>(product >> 64);
    }
};

/// Lanes that do not depend on each other, so that their products overlap. They are members and
/// no array, so that they stay in registers.
struct HashLanes {
    // Digits of pi.
    HashLane first{0x243f6a8885a308d3ull, 0x13198a2e03707344ull};
    HashLane second{0xa4093822299f31d0ull, 0x082efa98ec4e6c89ull};
    HashLane third{0x452821e638d01377ull, 0xbe5466cf34e90c6cull};
    HashLane fourth{0xc0ac29b7c97c50ddull, 0x3f84d5b5b5470917ull};

    void absorb(const std::byte* block) {
        std::uint64_t words[8];
        std::memcpy(words, block, sizeof words);
        first.absorb(words[0], words[1]);
        second.absorb(words[2], words[3]);
        third.absorb(words[4], words[5]);
        fourth.absorb(words[6], words[7]);
    }
};

constexpr HashLane kEnd = {0x9216d5d98979fb1bull, 0xd1310ba698dfb5acull};
constexpr std::size_t kBlockBytes = 64;

TensorHash hash_row(const std::byte* data, std::int64_t row, std::size_t bytes) {
    HashLanes lanes;
    std::size_t at = 0;
    for (; at + kBlockBytes <= bytes; at += kBlockBytes) lanes.absorb(data + at);
    if (at < bytes) {
        std::byte rest[kBlockBytes] = {};
        std::memcpy(rest, data + at, bytes - at);
        lanes.absorb(rest);
    }
    HashLane sum = kEnd;
    sum.absorb(static_cast<std::uint64_t>(row), bytes);
    const HashLane all[] = {lanes.first, lanes.second, lanes.third, lanes.fourth};
    for (const HashLane& lane : all) sum.absorb(lane.a, lane.b);
    for (const HashLane& lane : all) sum.absorb(lane.b, lane.a);
    return {mix64(sum.a), mix64(sum.b)};
}

}  // namespace

std::string TensorHash::text() const {
    return fmt::format("{:016x}{:016x}", high, low);
}

TensorHash hash_rows(const std::byte* data, std::int64_t first, std::int64_t count,
                     std::size_t row_bytes) {
    TensorHash sum;
    for (std::int64_t i = 0; i < count; ++i) {
        sum += hash_row(data + static_cast<std::size_t>(i) * row_bytes, first + i, row_bytes);
    }
    return sum;
}

std::string tensor_rows_text(const std::string& name, std::int64_t begin, std::int64_t end) {
    return end == 0 ? name : fmt::format("{} rows {}-{}", name, begin, end - 1);
}

std::string LoadedTensor::text() const {
    return tensor_rows_text(name, begin, end);
}

}  // namespace molink
