#pragma once

#include <cstdint>

// Bounds and tunables of peers that have not proved who they are, with their reasons.
namespace molink::limits {

/// Bytes that such a peer may send on one connection: handshake, hello and probe trains.
inline constexpr std::uint64_t kMaxUntrustedBytes = 1u << 20;
/// A worker with a join token that does not reach the head for this long tries its own key, and the
/// token after that: it cannot know which of the two the head knows.
inline constexpr std::int64_t kTryKeyUs = 3'000'000;

}  // namespace molink::limits
