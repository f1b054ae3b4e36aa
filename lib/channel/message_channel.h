#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include <molink/clock.h>
#include <molink/link.h>
#include <molink/status.h>
#include <molink/transmit.h>
#include <molink/transport.h>
#include <molink/types.h>

#include "base/bytes.h"
#include "base/pipeline_epoch.h"

namespace molink {

/// Counters of one lane of a peer link since it was made.
struct LaneStats {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;     ///< payload without frame headers
    std::int64_t queued_us = 0;  ///< sum over messages, from send() to the last frame
};

struct ChannelStats {
    std::array<LaneStats, kLaneCount> sent;
    std::array<LaneStats, kLaneCount> received;
    std::uint64_t sent_wire_bytes = 0;  ///< including headers and acknowledgements
    std::uint64_t received_wire_bytes = 0;
    std::uint64_t resent_bytes = 0;
    std::uint64_t duplicate_frames = 0;
    std::int64_t smoothed_rtt_us = 0;
    std::int64_t min_rtt_us = 0;
    LinkModel link;  ///< measured sending direction
    /// Rate from the probe trains of ChannelHub::probe(), in bytes/s; 0: too fast to measure. Not
    /// set: no train has arrived.
    std::optional<double> probed_bytes_per_s;
    bool probed = false;  ///< the probe trains have ended
};

/// Receives complete messages on the node's loop.
class ChannelSink {
public:
    virtual ~ChannelSink() = default;
    /// A complete message with correct checksums. Each message arrives once and in order within its
    /// lane.
    virtual void on_message(Lane lane, PipelineEpoch epoch, Bytes message) = 0;
};

struct ChannelOptions {
    std::size_t max_frame_bytes = 0;          ///< 0: limits::kMaxFrameBytes
    std::int64_t hol_bound_us = 0;            ///< 0: limits::kHeadOfLineBoundUs
    std::size_t max_queued_bytes = 1u << 30;  ///< send() refuses messages above this limit
    /// For simulations of models whose activations are too large to copy: returns the bytes that a
    /// message counts for in addition to its own. Queues, frames, window, pace, policies and
    /// counters include them, but they are never allocated. Frames may then hold fewer bytes than
    /// their header says. If the function is empty, such a frame ends the peer link.
    std::function<std::size_t(ByteSpan message)> padding;
};

}  // namespace molink
