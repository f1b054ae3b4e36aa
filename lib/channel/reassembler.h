#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>

#include <molink/status.h>

#include "base/bytes.h"
#include "base/pipeline_epoch.h"
#include "channel/frame_header.h"

namespace molink {

/// Joins the frames of each lane. Each lane has at most one message under way. Memory grows with
/// the received bytes, not with the size that a header announces. Thread: the node's loop.
class Reassembler {
public:
    /// Adds a frame's payload. Returns the message when it is complete and not dropped. Errors:
    /// data_loss when the frame does not continue its lane's message.
    Result<std::optional<Bytes>> add(const FrameHeader& header, ByteSpan payload);
    /// Drops messages of older epochs of this pipeline from now on, including those under way.
    /// Messages of the control lane are kept.
    void set_epoch(PipelineEpoch epoch) { epochs_[epoch.pipeline] = epoch.epoch; }

private:
    struct Progress {
        bool active = false;
        bool dropped = false;
        std::uint32_t message = 0;
        std::uint32_t next_message = 0;
        std::uint32_t received = 0;
        std::uint32_t total = 0;
        Bytes bytes;
    };
    std::array<Progress, kLaneCount> lanes_;
    bool is_stale(const FrameHeader& header) const;
    std::map<PipelineId, Epoch> epochs_;
};

}  // namespace molink
