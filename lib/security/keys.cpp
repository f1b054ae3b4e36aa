// Key pairs and their text, over libsodium: the same curve and the same library that ZeroMQ's
// CURVE mechanism uses. Text is hexadecimal: Z85, which ZeroMQ prefers, has characters that shells
// interpret, and base64 may begin with a minus sign.
#include "security/keys.h"

#include <sodium.h>

#include "base/error.h"

namespace molink {

static_assert(crypto_box_PUBLICKEYBYTES == 32 && crypto_box_SECRETKEYBYTES == 32);

namespace {

/// Makes libsodium ready; further calls do nothing.
void use_sodium() {
    static const int ready = ::sodium_init();
    (void)ready;  // fails only if the system has no random numbers, and then the process aborts
}

}  // namespace

void wipe(std::span<std::byte> secret) {
    ::sodium_memzero(secret.data(), secret.size());
}

SecretKey::~SecretKey() {
    wipe(std::as_writable_bytes(std::span(bytes)));
}

KeyPair make_key_pair() {
    use_sodium();
    KeyPair pair;
    ::crypto_box_keypair(pair.public_key.bytes.data(), pair.secret_key.bytes.data());
    return pair;
}

bool belong_together(const KeyPair& pair) {
    use_sodium();
    PublicKey derived;
    ::crypto_scalarmult_base(derived.bytes.data(), pair.secret_key.bytes.data());
    return derived == pair.public_key;
}

std::string bytes_text(std::span<const std::uint8_t> bytes) {
    std::string text(2 * bytes.size() + 1, '\0');
    ::sodium_bin2hex(text.data(), text.size(), bytes.data(), bytes.size());
    text.pop_back();  // the terminating zero
    return text;
}

Status parse_bytes(std::string_view what, std::string_view text, std::span<std::uint8_t> bytes) {
    if (text.size() != 2 * bytes.size()) {
        return invalid_argument("{} has {} characters; {} are needed", what, text.size(),
                                2 * bytes.size());
    }
    const std::size_t bad = text.find_first_not_of("0123456789abcdefABCDEF");
    if (bad != std::string_view::npos) {
        return invalid_argument("{} is not hexadecimal at character {}", what, bad + 1);
    }
    ::sodium_hex2bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, nullptr,
                     nullptr);
    return {};
}

void random_bytes(std::span<std::uint8_t> bytes) {
    use_sodium();
    ::randombytes_buf(bytes.data(), bytes.size());
}

std::string key_text(const PublicKey& key) {
    return bytes_text(key.bytes);
}

Result<PublicKey> parse_public_key(std::string_view text) {
    PublicKey key;
    MOLINK_RETURN_IF_ERROR(parse_bytes("the public key", text, key.bytes));
    return key;
}

}  // namespace molink
