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

/// Counters of one lane of a channel, since it was made.
struct LaneStats {
    std::uint64_t messages = 0;
    std::uint64_t bytes = 0;     ///< payload, without frame headers
    std::int64_t queued_us = 0;  ///< sum over messages of the time from send() to the last frame
};

struct ChannelStats {
    std::array<LaneStats, kLaneCount> sent;
    std::array<LaneStats, kLaneCount> received;
    std::uint64_t sent_wire_bytes = 0;  ///< frames with headers and acknowledgements
    std::uint64_t received_wire_bytes = 0;
    std::uint64_t resent_bytes = 0;
    std::uint64_t duplicate_frames = 0;
    std::int64_t smoothed_rtt_us = 0;
    std::int64_t min_rtt_us = 0;
    LinkModel link;  ///< measured, sending direction
    /// Of probe trains asked for by ChannelHub::probe(), bytes/s; 0: too fast to measure. Not set:
    /// none has arrived.
    std::optional<double> probed_bytes_per_s;
    bool probed = false;  ///< they have come to their end
};

/// Where whole messages go. Called inside on_frame(), on the node's loop.
class ChannelSink {
public:
    virtual ~ChannelSink() = default;
    /// One message, whole and verified by checksum, once, in order within its lane.
    virtual void on_message(Lane lane, PipelineEpoch epoch, Bytes message) = 0;
};

struct ChannelOptions {
    std::size_t max_frame_bytes = 0;          ///< 0: limits::kMaxFrameBytes
    std::int64_t hol_bound_us = 0;            ///< 0: limits::kHeadOfLineBoundUs
    std::size_t max_queued_bytes = 1u << 30;  ///< send() refuses above it
    /// Simulations of models too large to move: how many bytes a message counts for beyond those it
    /// holds. Queues, frames, window, pace, policies and counters see them; nobody allocates them.
    /// Frames that hold fewer bytes than they say are then taken; empty, they end the link.
    std::function<std::size_t(ByteSpan message)> padding;
};

}  // namespace molink
