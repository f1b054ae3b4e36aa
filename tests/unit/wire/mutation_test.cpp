// Damaged messages: 50,000 mutations of valid ones. Each is refused or decodes to a struct within
// its bounds. The sanitizer build checks that nothing is read outside the bytes.
#include <algorithm>

#include "message_samples.h"
#include "support/catch.h"

namespace molink {
namespace {

constexpr int kMutations = 50'000;

void flip_bits(Bytes& bytes, Random& random) {
    for (auto n = 1 + random.below(8); n > 0; --n) {
        bytes[random.below(bytes.size())] ^= static_cast<std::byte>(1u << random.below(8));
    }
}

/// Replaces a word by a likely value. Offsets and lengths are words, so this changes more than
/// random bits.
void replace_word(Bytes& bytes, Random& random) {
    constexpr std::uint32_t kWords[] = {0, 1, 4, 0x7f, 0xff, 0x7fffffff, 0x80000000, 0xffffffff};
    if (bytes.size() < 4) return;
    const std::size_t at = random.below(bytes.size() / 4) * 4;
    write_le(std::span(bytes), at, kWords[random.below(std::size(kWords))]);
}

void truncate(Bytes& bytes, Random& random) {
    bytes.resize(random.below(bytes.size()));
}

void splice(Bytes& bytes, const Bytes& other, Random& random) {
    const auto keep = static_cast<std::ptrdiff_t>(random.below(bytes.size()) / 4 * 4);
    const auto from = static_cast<std::ptrdiff_t>(random.below(other.size()) / 4 * 4);
    bytes.erase(bytes.begin() + keep, bytes.end());
    bytes.insert(bytes.end(), other.begin() + from, other.end());
}

void mutate(Bytes& bytes, const Bytes& other, Random& random) {
    for (auto n = 1 + random.below(3); n > 0 && !bytes.empty(); --n) {
        switch (random.below(5)) {
            case 0: truncate(bytes, random); break;
            case 1: splice(bytes, other, random); break;
            case 2: replace_word(bytes, random); break;
            default: flip_bits(bytes, random); break;
        }
    }
}

}  // namespace

TEST_CASE("mutated messages are refused or within bounds") {
    int decoded_count = 0;
    int refused_count = 0;
    for (int i = 0; i < kMutations; ++i) {
        Random random(static_cast<std::uint64_t>(i));
        const Message message = test::random_message(random.below(test::kMessageKinds), random);
        const Message donor = test::random_message(random.below(test::kMessageKinds), random);
        Bytes bytes = encode_message(message);
        mutate(bytes, encode_message(donor), random);
        bytes.shrink_to_fit();
        INFO("mutation with seed " << i << " of " << message_name(message));
        const auto decoded = decode_message(bytes);
        if (decoded) {
            ++decoded_count;
            if (!test::within_bounds(decoded.value())) FAIL("a bound does not hold");
        } else {
            ++refused_count;
            if (decoded.error().code() != StatusCode::data_loss) FAIL(decoded.error().to_string());
        }
    }
    // Both outcomes must be frequent, or the mutations would test nothing.
    CHECK(decoded_count > kMutations / 50);
    CHECK(refused_count > kMutations / 4);
}

TEST_CASE("random bytes after a valid start are refused or within bounds") {
    for (int i = 0; i < 20'000; ++i) {
        Random random(static_cast<std::uint64_t>(i) + 1'000'000);
        Bytes bytes(8 + random.below(400));
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(64));
        write_le(std::span(bytes), 0, static_cast<std::uint32_t>(random.below(bytes.size())));
        for (std::size_t at = 0; at < 4; ++at) bytes[4 + at] = static_cast<std::byte>("MLNK"[at]);
        const auto decoded = decode_message(bytes);
        if (decoded && !test::within_bounds(decoded.value())) FAIL("seed " << i);
    }
    SUCCEED();
}

}  // namespace molink
