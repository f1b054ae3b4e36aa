#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace molink {

/// 64-bit FNV-1a over bytes, with a final mix; stable across machines and releases.
std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed = 0);
std::uint64_t hash_string(std::string_view text, std::uint64_t seed = 0);

}  // namespace molink
