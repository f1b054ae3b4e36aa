#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <molink/security.h>

namespace molink {

/// Returns whether the public key is the one that belongs to the secret key.
bool belong_together(const KeyPair& pair);

/// Overwrites a secret, which no compiler removes. What a string or vector has left behind by
/// growing is not reached: reserve before a secret is written.
void wipe(std::span<std::byte> secret);
inline void wipe(std::string& secret) {
    wipe(std::as_writable_bytes(std::span(secret)));
}

/// Overwrites a secret when the scope ends. `Secret` is a string or a vector, and must outlive it.
template <typename Secret>
class WipedAtEnd {
public:
    explicit WipedAtEnd(Secret& secret) : secret_(secret) {}
    ~WipedAtEnd() { wipe(std::as_writable_bytes(std::span(secret_))); }
    WipedAtEnd(const WipedAtEnd&) = delete;
    WipedAtEnd& operator=(const WipedAtEnd&) = delete;

private:
    Secret& secret_;
};

/// Bytes as hexadecimal text.
std::string bytes_text(std::span<const std::uint8_t> bytes);
/// Reads exactly as many bytes as `bytes` has. Errors: invalid_argument naming `what`, and the
/// length or the position of the first bad character.
Status parse_bytes(std::string_view what, std::string_view text, std::span<std::uint8_t> bytes);

/// Fills `bytes` from the system's source of random numbers for keys. Thread: any.
void random_bytes(std::span<std::uint8_t> bytes);

}  // namespace molink
