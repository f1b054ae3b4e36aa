// Reliability of one track: go-back from the last acknowledged frame. The transport keeps order and
// loses only at a reset, so nothing finer is needed; duplicates are dropped by number at the other
// end.
#include "channel/send_track.h"

#include <utility>

#include "base/canary.h"
#include "channel/frame_header.h"

namespace molink {

void SendTrack::push(Frame frame) {
    const std::size_t bytes = frame_bytes(frame);
    if (link_.in_flight_bytes == 0) link_.at_us = 0;
    in_flight_bytes_ += bytes;
    link_.in_flight_bytes += bytes;
    frames_.push_back({std::move(frame), bytes, 0, false, 0, 0});
}

std::size_t SendTrack::send(Transport& transport, ConnectionId connection, std::int64_t now_us) {
    std::size_t again = 0;
    while (sent_ < frames_.size()) {
        Kept& kept = frames_[sent_];
        Frame copy = kept.frame;
        if (transport.send(connection, std::move(copy)) != SendOutcome::accepted) break;
        if (kept.sent_us != 0) {
            again += kept.bytes;
            kept.resent = true;
        }
        kept.sent_us = now_us;
        if (link_.at_us == 0) link_.at_us = now_us;
        kept.delivered_before = link_.bytes;
        kept.delivered_at_us = link_.at_us;
        kept.app_limited = link_.app_limited_until != 0;
        ++sent_;
    }
    return again;
}

SendTrack::Acked SendTrack::acknowledge(std::uint64_t sequence, bool& valid) {
    valid = sequence <= acked_ + frames_.size();
    Acked acked;
    if (!valid) return acked;
    while (acked_ < sequence) {
        const Kept& kept = frames_.front();
        acked.bytes += kept.bytes;
        link_.in_flight_bytes -= kept.bytes;
        acked.sent_us = kept.sent_us;
        acked.delivered_before = kept.delivered_before;
        acked.delivered_at_us = kept.delivered_at_us;
        acked.resent = kept.resent;
        acked.app_limited = kept.app_limited;
        const bool forgotten = canary(Canary::lost_acknowledgement) && acked_ % 3 == 0;
        if (!forgotten) in_flight_bytes_ -= kept.bytes;
        frames_.pop_front();
        if (sent_ > 0) --sent_;
        ++acked_;
    }
    link_.bytes += acked.bytes;
    if (link_.bytes > link_.app_limited_until) link_.app_limited_until = 0;
    return acked;
}

}  // namespace molink
