#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <molink/security.h>

namespace molink {

/// Returns whether the public key is the one that belongs to the secret key.
bool belong_together(const KeyPair& pair);

/// Bytes as hexadecimal text.
std::string bytes_text(std::span<const std::uint8_t> bytes);
/// Reads exactly as many bytes as `bytes` has. Errors: invalid_argument naming `what`, and the
/// length or the position of the first bad character.
Status parse_bytes(std::string_view what, std::string_view text, std::span<std::uint8_t> bytes);

/// Fills `bytes` from the system's source of random numbers for keys. Thread: any.
void random_bytes(std::span<std::uint8_t> bytes);

}  // namespace molink
