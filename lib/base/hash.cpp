// Stable 64-bit hashes for model identity, logit checks and tables. FNV-1a takes 8 bytes at a time,
// because logit rows are large. The hashes do not resist an adversary.
// Relies on nothing else.
#include "base/hash.h"

#include <cstring>

#include "base/random.h"

namespace molink {

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed) {
    constexpr std::uint64_t kPrime = 0x100000001b3ull;
    std::uint64_t hash = 0xcbf29ce484222325ull ^ mix64(seed);
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + i, 8);
        hash = mix64((hash ^ word) * kPrime);
    }
    for (; i < bytes.size(); ++i) hash = (hash ^ static_cast<std::uint64_t>(bytes[i])) * kPrime;
    return mix64(hash ^ bytes.size());
}

std::uint64_t hash_string(std::string_view text, std::uint64_t seed) {
    return hash_bytes(std::as_bytes(std::span(text.data(), text.size())), seed);
}

}  // namespace molink
