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

/// Puts the frames of each lane together. One message per lane is under way at a time; memory grows
/// with what arrived, never with what a header promises. Thread: the node's loop.
class Reassembler {
public:
    /// Takes a frame's payload. Gives the message when it was the last of it and not dropped.
    /// Errors: data_loss when the frame does not continue its lane's message.
    Result<std::optional<Bytes>> add(const FrameHeader& header, ByteSpan payload);
    /// Messages of older epochs of this pipeline are dropped, also those under way; those of the
    /// control lane are kept.
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
