#pragma once

#include <cstddef>
#include <cstdint>

// Every bound and tunable, with its reason. A number that appears in a queue, a parser or a timer
// belongs here.
namespace molink::limits {

// -- Files and configuration
/// Largest safetensors header: the format's own reference reader refuses more than 100 MB.
inline constexpr std::size_t kMaxSafetensorsHeaderBytes = 100'000'000;
/// Largest config.json, index or tokenizer.json: real tokenizers reach about 20 MB.
inline constexpr std::size_t kMaxJsonFileBytes = 256u << 20;
/// Upper bounds on model dimensions; far above any published model, far below overflow.
inline constexpr std::int64_t kMaxLayers = 1024;
inline constexpr std::int64_t kMaxHidden = 1 << 17;
inline constexpr std::int64_t kMaxFeedForward = 1 << 20;
inline constexpr std::int64_t kMaxVocabulary = 1 << 22;
inline constexpr std::int64_t kMaxHeads = 4096;
inline constexpr std::int64_t kMaxContext = 1 << 24;

// -- Channel (DESIGN section 6)
/// A frame is at most 16 KiB of payload, so that an urgent one waits for 1.3 ms at 100 Mbit/s.
inline constexpr std::size_t kMaxFrameBytes = 16u << 10;
/// Bytes under way before the first measurement.
inline constexpr std::size_t kFirstWindowBytes = 64u << 10;
/// Largest message that is put together again; a prefill slice of 4096 rows of 16384 f32.
inline constexpr std::size_t kMaxMessageBytes = 512u << 20;
/// How long an urgent frame may wait behind a bulky one.
inline constexpr std::int64_t kHeadOfLineBoundUs = 10'000;

// -- Faults (DESIGN section 6)
inline constexpr std::int64_t kHeartbeatIntervalUs = 1'000'000;
/// Silence after which a node is lost.
inline constexpr std::int64_t kNodeLostAfterUs = 15'000'000;
/// A reset connection that does not come back in this time means a lost node.
inline constexpr std::int64_t kReconnectWithinUs = 3'000'000;

// -- Cluster
inline constexpr std::size_t kMaxNodes = 256;
/// A node name, address or error text on the wire.
inline constexpr std::size_t kMaxWireStringBytes = 4096;

// -- Requests
inline constexpr std::size_t kMaxRunning = 1024;
inline constexpr std::size_t kMaxWaiting = 65536;

}  // namespace molink::limits
