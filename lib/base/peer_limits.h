#pragma once

#include <cstdint>

// Bounds and tunables of peers, with their reasons. The first ones are for peers that have not
// proved who they are.
namespace molink::limits {

/// Bytes that such a peer may send on one connection: handshake, hello and probe trains.
inline constexpr std::uint64_t kMaxUntrustedBytes = 1u << 20;
/// A worker with a join token that does not reach the head for this long tries its own key, and the
/// token after that: it cannot know which of the two the head knows.
inline constexpr std::int64_t kTryKeyUs = 3'000'000;

/// Times of a profile, us. Devices measure at least 1 us over at most kMaxLayers layers, so a layer
/// that takes less was not measured; 0 would let the partitioner give the node everything. A row
/// that takes a minute in one layer is no use to anybody, and sums over kMaxLayers and
/// kMaxStepTokens rows stay below kLongestUs.
inline constexpr double kLeastLayerUs = 1.0 / 1024;
inline constexpr double kMaxProfileUs = 60e6;

}  // namespace molink::limits
