// Joins chunks to messages. Frames of a lane arrive in order. A frame
// that does not continue the current message comes from a broken or
// hostile peer, so the peer link ends.
#include "channel/reassembler.h"

#include <algorithm>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"

namespace molink {

bool Reassembler::is_stale(const FrameHeader& header) const {
    const auto found = epochs_.find(PipelineId(header.pipeline));
    return found != epochs_.end() && header.epoch < found->second.value;
}

Result<std::optional<Bytes>> Reassembler::add(const FrameHeader& header, ByteSpan payload) {
    Progress& lane = lanes_[static_cast<std::size_t>(header.lane)];
    const bool begins = !lane.active;
    if (begins) {
        lane = Progress{true, false, lane.next_message, lane.next_message + 1, 0, header.total, {}};
        lane.bytes.reserve(std::min<std::size_t>(header.total, limits::kFirstReserveBytes));
    }
    if (header.message != lane.message || header.offset != lane.received) {
        return make_error(StatusCode::data_loss,
                          "lane {}: expected message {} at byte {}, received message {} at byte {}",
                          lane_name(header.lane), lane.message, lane.received, header.message,
                          header.offset);
    }
    if (header.total != lane.total || (header.payload == 0 && header.total != 0)) {
        return make_error(
            StatusCode::data_loss,
            "lane {}: message {} of {} bytes continues with {} bytes of a message of {}",
            lane_name(header.lane), lane.message, lane.total, header.payload, header.total);
    }
    lane.dropped |=
        header.lane != Lane::control && is_stale(header) && !canary(Canary::stale_epoch);
    const bool in_front = canary(Canary::chunk_out_of_order) && header.message % 5 == 4;
    if (!lane.dropped) {
        lane.bytes.insert(in_front ? lane.bytes.begin() : lane.bytes.end(), payload.begin(),
                          payload.end());
    }
    lane.received += header.payload;
    if (lane.received < header.total) return std::optional<Bytes>();
    lane.active = false;
    if (lane.dropped) {
        lane.bytes = Bytes();
        return std::optional<Bytes>();
    }
    return std::optional<Bytes>(std::move(lane.bytes));
}

}  // namespace molink
