#pragma once

#include <cstddef>
#include <cstdint>

// Bounds and tunables of joining, of peers that have not proved who they are, of what nodes report,
// and of stages that stand still, with their reasons.
namespace molink::limits {

/// Bytes that such a peer may send on one connection: handshake, hello and probe trains.
inline constexpr std::uint64_t kMaxUntrustedBytes = 1u << 20;
/// A worker with a join token that does not reach the head for this long tries its own key, and the
/// token after that: it cannot know which of the two the head knows. Three addresses of the head's
/// name can be tried in this time.
inline constexpr std::int64_t kTryKeyUs = 10'000'000;

/// Longest pause before a worker dials a head that turned it away or lost it. The first pause is
/// kRejoinAfterUs, each further one twice as long.
inline constexpr std::int64_t kLongestRejoinUs = 30'000'000;

/// A stage may hold a part for this many times the predicted time of all parts under way. Profiles
/// are off by less than three, other work on a machine costs ten.
inline constexpr std::int64_t kPartPatience = 30;
/// The most that the predicted time of parts adds to a deadline: a wrong profile must not hide a
/// stage that stands still.
inline constexpr std::int64_t kLongestPartPatienceUs = 600'000'000;
/// A stage that loads must show progress within this time. Reading one tensor over a slow network
/// takes a minute.
inline constexpr std::int64_t kLoadStalledUs = 300'000'000;

/// Times of a profile, us. Devices measure at least 1 us over at most kMaxLayers layers, so a layer
/// that takes less was not measured; 0 would let the partitioner give the node everything. A row
/// that takes a minute in one layer is no use to anybody, and sums over kMaxLayers and
/// kMaxStepTokens rows stay below kLongestUs.
inline constexpr double kLeastLayerUs = 1.0 / 1024;
inline constexpr double kMaxProfileUs = 60e6;

/// Host names that are resolved at the same time. The system's resolver may take half a minute for
/// one that no server knows.
inline constexpr std::size_t kMaxNameLookups = 8;

}  // namespace molink::limits
