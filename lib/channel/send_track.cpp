// Reliability of one track: after a reset, all frames after the last acknowledged one are sent
// again. The transport keeps the order and loses frames only at a reset, so nothing finer is
// needed. The receiver drops duplicates by their numbers.
#include "channel/send_track.h"

#include <cassert>
#include <utility>

#include "base/canary.h"
#include "channel/frame_header.h"

namespace molink {

void SendTrack::push(Frame frame) {
    const std::size_t bytes = frame_bytes(frame);
    in_flight_bytes_ += bytes;
    link_.in_flight_bytes += bytes;
    frames_.push_back({std::move(frame), bytes});
}

SendTrack::Handed SendTrack::send(Transport& transport, ConnectionId connection,
                                  std::int64_t now_us) {
    if (!blocked()) return {};
    Kept& kept = frames_[sent_];
    stamp_frame(kept.frame, now_us);
    Frame copy = kept.frame;
    if (transport.send(connection, std::move(copy)) != SendOutcome::accepted) return {};
    kept.resent = kept.sent_us != 0;
    kept.sent_us = now_us;
    kept.idle_us = link_.idle_us;
    ++sent_;
    return {kept.bytes, kept.resent};
}

SendTrack::Acked SendTrack::acknowledge(std::uint64_t sequence, bool& valid) {
    valid = sequence <= acked_ + frames_.size();
    Acked acked;
    if (!valid) return acked;
    while (acked_ < sequence) {
        const Kept& kept = frames_.front();
        acked.bytes += kept.bytes;
        assert(link_.in_flight_bytes >= kept.bytes);
        link_.in_flight_bytes -= kept.bytes;
        acked.idle_us = kept.idle_us;
        acked.resent = kept.resent;
        const bool forgotten = canary(Canary::lost_acknowledgement) && acked_ % 3 == 0;
        if (!forgotten) in_flight_bytes_ -= kept.bytes;
        frames_.pop_front();
        if (sent_ > 0) --sent_;
        ++acked_;
    }
    assert(sent_ <= frames_.size());
    return acked;
}

}  // namespace molink
