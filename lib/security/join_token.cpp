// A join token as one word: a prefix with the version, then keys, address and a checksum as text.
// The checksum is against incomplete copies, not against forgery: a token that was changed does not
// open anything.
#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "base/limits.h"
#include "security/keys.h"

namespace molink {
namespace {

constexpr std::string_view kPrefix = "molink1-";
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kFixedBytes = 3 * kKeyBytes + kChecksumBytes;

std::array<std::uint8_t, kChecksumBytes> checksum(std::span<const std::uint8_t> bytes) {
    const std::uint64_t hash = hash_bytes(std::as_bytes(bytes));
    std::array<std::uint8_t, kChecksumBytes> sum{};
    for (std::size_t i = 0; i < sum.size(); ++i)
        sum[i] = static_cast<std::uint8_t>(hash >> (8 * i));
    return sum;
}

}  // namespace

std::string token_text(const JoinToken& token) {
    std::vector<std::uint8_t> bytes;
    bytes.reserve(kFixedBytes + token.address.size());
    const WipedAtEnd wiped(bytes);
    const auto append = [&](const auto& part) {
        bytes.insert(bytes.end(), part.begin(), part.end());
    };
    append(token.head_key.bytes);
    append(token.pass.public_key.bytes);
    append(token.pass.secret_key.bytes);
    append(token.address);
    append(checksum(bytes));
    return std::string(kPrefix) + bytes_text(bytes);
}

Result<JoinToken> parse_token(std::string_view text) {
    if (!text.starts_with(kPrefix)) {
        return invalid_argument("the join token does not begin with '{}'", kPrefix);
    }
    text.remove_prefix(kPrefix.size());
    const std::size_t size = text.size() / 2;
    if (size <= kFixedBytes || size > kFixedBytes + limits::kMaxWireStringBytes) {
        return invalid_argument("the join token has {} characters; it was not copied as a whole",
                                kPrefix.size() + text.size());
    }
    std::vector<std::uint8_t> bytes(size);
    const WipedAtEnd wiped(bytes);
    MOLINK_RETURN_IF_ERROR(parse_bytes("the join token", text, bytes));
    const std::span<const std::uint8_t> content(bytes.data(), size - kChecksumBytes);
    const auto sum = checksum(content);
    if (!std::equal(sum.begin(), sum.end(), content.end())) {
        return invalid_argument("the join token is damaged: its checksum is wrong");
    }
    JoinToken token;
    auto from = content.begin();
    const auto read = [&](auto& part) {
        std::copy_n(from, part.size(), part.begin());
        from += static_cast<std::ptrdiff_t>(part.size());
    };
    read(token.head_key.bytes);
    read(token.pass.public_key.bytes);
    read(token.pass.secret_key.bytes);
    token.address.assign(from, content.end());
    if (!belong_together(token.pass)) {
        return invalid_argument("the join token is damaged: its keys do not belong together");
    }
    return token;
}

}  // namespace molink
