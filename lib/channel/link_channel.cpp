// One peer link of a node. Messages wait in lanes. When a frame may be sent, the transmit policy
// chooses lane and size. The frame is cut, numbered and kept until it is acknowledged. Each track
// has its own window, so that a full bulky track never delays an urgent frame. Both tracks share
// the pace. If both connections are up but acknowledgements are missing for a long time, all
// unacknowledged frames are sent again.
#include "channel/link_channel.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"

namespace molink {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

}  // namespace

LinkChannel::LinkChannel(std::uint64_t token, bool dialed, const ChannelOptions& options,
                         std::unique_ptr<TransmitPolicy> policy)
    : token_(token),
      dialed_(dialed),
      options_(options),
      policy_(std::move(policy)),
      meter_(options.hol_bound_us) {}

Status LinkChannel::attach(Track track, ConnectionId connection, std::uint64_t peer_received,
                           std::int64_t now_us) {
    SendTrack& sender = tracks_[index(track)];
    // A number below the last acknowledged one means that another process answers at this address.
    bool valid = peer_received >= sender.acked();
    if (valid) sender.acknowledge(peer_received, valid);
    if (!valid) {
        return make_error(
            StatusCode::data_loss,
            "the peer says that it received {} frames; {} are acknowledged, and frame {} is next",
            peer_received, sender.acked(), sender.next_sequence());
    }
    sender.rewind(now_us);
    meter_.restart();
    connections_[index(track)] = connection;
    return {};
}

Status LinkChannel::queue(Lane lane, PipelineEpoch epoch, Bytes message, std::int64_t now_us) {
    const auto at = static_cast<std::size_t>(lane);
    const std::size_t total = message.size() + (options_.padding ? options_.padding(message) : 0);
    std::size_t waiting = total;
    for (std::size_t i = 0; i < kLaneCount; ++i) {
        waiting += queued_bytes_[i] + queues_[i].size() * kFrameHeaderBytes;
    }
    if (total > limits::kMaxMessageBytes || waiting > options_.max_queued_bytes) {
        return make_error(
            StatusCode::resource_exhausted,
            "queue a message of {} bytes (limit {}): {} bytes already wait on the link (limit {})",
            total, limits::kMaxMessageBytes, waiting - total, options_.max_queued_bytes);
    }
    queued_bytes_[at] += total;
    Queued queued;
    queued.bytes = std::move(message);
    queued.total = total;
    queued.epoch = epoch;
    queued.queued_us = now_us;
    queues_[at].push_back(std::move(queued));
    return {};
}

void LinkChannel::set_epoch(PipelineEpoch epoch) {
    reassembler_.set_epoch(epoch);
    for (std::size_t lane = 1; lane < kLaneCount; ++lane) {
        std::erase_if(queues_[lane], [&](const Queued& queued) {
            const bool stale = queued.offset == 0 && queued.epoch.pipeline == epoch.pipeline &&
                               queued.epoch.epoch < epoch.epoch && !canary(Canary::stale_epoch);
            if (stale) queued_bytes_[lane] -= queued.total;
            return stale;
        });
    }
}

bool LinkChannel::may_send(Track track) const {
    return connections_[index(track)] && !tracks_[index(track)].blocked() && !window_full(track);
}

bool LinkChannel::window_full(Track track) const {
    return tracks_[index(track)].in_flight_bytes() >= meter_.window_bytes();
}

/// Returns whether messages wait on this track only because the window is full.
bool LinkChannel::held(Track track) const {
    if (!window_full(track)) return false;
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
        if (!queues_[lane].empty() && track_of(static_cast<Lane>(lane)) == track) return true;
    }
    return false;
}

std::size_t LinkChannel::max_frame_bytes() const {
    const double rate = meter_.model().bytes_per_s;
    if (rate <= 0) return options_.max_frame_bytes;
    const auto two_ms = static_cast<std::size_t>(rate * 0.002);
    return std::clamp<std::size_t>(two_ms, std::min<std::size_t>(1400, options_.max_frame_bytes),
                                   options_.max_frame_bytes);
}

TransmitView LinkChannel::make_view(std::int64_t now_us) const {
    TransmitView view;
    view.now_us = now_us;
    view.link = meter_.model();
    view.max_frame_bytes = max_frame_bytes();
    view.hol_bound_us = options_.hol_bound_us;
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
        view.lanes[lane].sent_bytes = stats_.sent[lane].bytes;
        if (queues_[lane].empty() || !may_send(track_of(static_cast<Lane>(lane)))) continue;
        const Queued& front = queues_[lane].front();
        view.lanes[lane].queued_messages = queues_[lane].size();
        view.lanes[lane].queued_bytes = queued_bytes_[lane];
        view.lanes[lane].front_bytes = front.total - front.offset;
        view.lanes[lane].front_queued_us = front.queued_us;
    }
    return view;
}

TransmitPlan LinkChannel::choose(const TransmitView& view) const {
    const TransmitPlan plan = policy_->next(view);
    const auto lane = static_cast<std::size_t>(plan.lane);
    if (plan.send && lane < kLaneCount && view.lanes[lane].queued_messages > 0) {
        const std::size_t most = std::min(view.lanes[lane].front_bytes, view.max_frame_bytes);
        if (plan.bytes <= most && (plan.bytes > 0 || most == 0)) return plan;
    }
    for (std::size_t i = 0; i < kLaneCount; ++i) {
        if (view.lanes[i].queued_messages == 0) continue;
        return {true, static_cast<Lane>(i),
                std::min(view.lanes[i].front_bytes, view.max_frame_bytes)};
    }
    return {};
}

void LinkChannel::cut(const TransmitPlan& plan, std::int64_t now_us) {
    const auto at = static_cast<std::size_t>(plan.lane);
    Queued& front = queues_[at].front();
    if (front.offset == 0) front.number = next_message_[at]++;
    SendTrack& sender = tracks_[index(track_of(plan.lane))];
    FrameHeader header;
    header.type = FrameType::data;
    header.track = track_of(plan.lane);
    header.lane = plan.lane;
    header.link = token_;
    header.sequence = sender.next_sequence();
    header.pipeline = front.epoch.pipeline.value;
    header.epoch = front.epoch.epoch.value;
    header.message = front.number;
    header.offset = static_cast<std::uint32_t>(front.offset);
    header.total = static_cast<std::uint32_t>(front.total);
    header.stamp_us = static_cast<std::uint64_t>(now_us);
    const std::size_t begin = std::min(front.offset, front.bytes.size());
    const std::size_t held = std::min(plan.bytes, front.bytes.size() - begin);
    const ByteSpan payload = ByteSpan(front.bytes).subspan(begin, held);
    sender.push(encode_frame(header, payload, plan.bytes - held));
    front.offset += plan.bytes;
    queued_bytes_[at] -= plan.bytes;
    LaneStats& lane = stats_.sent[at];
    lane.bytes += plan.bytes;
    if (front.offset == front.total) {
        ++lane.messages;
        lane.queued_us += now_us - front.queued_us;
        queues_[at].pop_front();
    }
}

/// Hands the next frame of a track that is already cut to the transport. Counts frames that are
/// resent.
bool LinkChannel::hand_over(Transport& transport, Track track, std::int64_t now_us) {
    SendTrack& sender = tracks_[index(track)];
    const auto& connection = connections_[index(track)];
    if (!connection) return false;
    const bool was_idle = sender.oldest_sent_us() == 0;
    const SendTrack::Handed handed = sender.send(transport, *connection, now_us);
    if (handed.bytes == 0) return false;
    if (was_idle) last_progress_us_ = now_us;
    if (handed.again) stats_.resent_bytes += handed.bytes;
    stats_.sent_wire_bytes += handed.bytes;
    meter_.next_send_us(now_us, handed.bytes);
    return true;
}

bool LinkChannel::waits(std::size_t from, std::size_t to) const {
    return std::any_of(queues_.begin() + static_cast<std::ptrdiff_t>(from),
                       queues_.begin() + static_cast<std::ptrdiff_t>(to),
                       [](const auto& queue) { return !queue.empty(); });
}

/// Sends one frame. After a cut a whole window of bulky frames must be resent. New urgent frames
/// may overtake them.
bool LinkChannel::send_next(Transport& transport, std::int64_t now_us) {
    if (hand_over(transport, Track::urgent, now_us)) return true;
    constexpr auto kBulky = static_cast<std::size_t>(Lane::prefill);
    const bool urgent = waits(0, kBulky) && may_send(Track::urgent);
    if (!urgent || urgent_before_resent_ >= limits::kUrgentPerResent) {
        urgent_before_resent_ = 0;
        if (hand_over(transport, Track::bulky, now_us)) return true;
    }
    if (!waits(0, kLaneCount)) return false;
    const TransmitPlan plan = choose(make_view(now_us));
    if (!plan.send) return false;
    const Track track = track_of(plan.lane);
    if (track == Track::urgent) ++urgent_before_resent_;
    cut(plan, now_us);
    return hand_over(transport, track, now_us);
}

/// Returns whether nothing waits, neither in a lane nor for the transport.
bool LinkChannel::drained() const {
    const auto empty = [](const auto& queue) { return queue.empty(); };
    const auto blocked = [](const SendTrack& sender) { return sender.blocked(); };
    return std::all_of(queues_.begin(), queues_.end(), empty) &&
           std::none_of(tracks_.begin(), tracks_.end(), blocked);
}

void LinkChannel::send_probe(Transport& transport, std::int64_t now_us) {
    const auto track = track_of(Lane::bulk);
    SendTrack& sender = tracks_[index(track)];
    // A slow link, or one that is believed to be slow, would be blocked for seconds by large
    // frames.
    const Bytes nothing(probes_.asked() ? options_.max_frame_bytes : max_frame_bytes());
    shared_.idle_us = now_us;  // a probe train must not count as traffic
    probes_.begin(sender.next_sequence(), nothing.size() + kFrameHeaderBytes, now_us);
    for (int i = 0; i < ProbeTrains::kFrames; ++i) {
        FrameHeader header;
        header.type = FrameType::data;
        header.flags = kProbeFlag;
        header.track = track;
        header.lane = Lane::bulk;
        header.link = token_;
        header.sequence = sender.next_sequence();
        header.total = static_cast<std::uint32_t>(nothing.size());
        header.stamp_us = static_cast<std::uint64_t>(now_us);
        sender.push(encode_frame(header, nothing));
        hand_over(transport, track, now_us);  // all at once, regardless of the pace
    }
}

void LinkChannel::give_up_waiting(std::int64_t now_us) {
    if (!attached()) return;
    const std::int64_t patience = std::max(limits::kResendAfterUs, 8 * meter_.smoothed_rtt_us())
                                  << std::min(vain_resends_, limits::kMaxResendDoublings);
    bool again = false;
    for (SendTrack& sender : tracks_) {
        if (sender.idle() || sender.blocked()) continue;
        if (now_us - std::max(sender.oldest_sent_us(), last_progress_us_) <= patience) continue;
        sender.rewind(now_us);
        again = true;
    }
    if (again) ++vain_resends_;
}

void LinkChannel::pump(Transport& transport, std::int64_t now_us) {
    give_up_waiting(now_us);
    const bool probe = attached() && probes_.due(now_us) && drained() &&
                       shared_.in_flight_bytes == 0 &&
                       !meter_.measured(now_us, limits::kProbeIntervalUs);
    if (probe) send_probe(transport, now_us);
    while (meter_.free_us() <= now_us && send_next(transport, now_us)) {
    }
    if (drained()) shared_.idle_us = now_us;
}

std::int64_t LinkChannel::next_timer_us(std::int64_t now_us) const {
    std::int64_t next = kNever;
    for (std::size_t i = 0; i < kTrackCount; ++i) {
        if (!connections_[i]) continue;
        if (tracks_[i].blocked()) {
            const bool paced = meter_.free_us() > now_us;
            next = std::min(next, paced ? meter_.free_us() : now_us + limits::kFullRetryUs);
        }
        if (!tracks_[i].idle()) next = std::min(next, now_us + limits::kResendAfterUs);
    }
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
        if (queues_[lane].empty() || !may_send(track_of(static_cast<Lane>(lane)))) continue;
        next = std::min(next, std::max(meter_.free_us(), now_us));
    }
    if (attached() && drained() && shared_.in_flight_bytes == 0 &&
        !meter_.measured(now_us, limits::kProbeIntervalUs)) {
        next = std::min(next, std::max(probes_.next_us(), now_us));
    }
    return next;
}

void LinkChannel::send_acks(Transport& transport, std::int64_t now_us) {
    if (!was_up) return;
    for (std::size_t i = 0; i < kTrackCount; ++i) {
        Received& received = received_[i];
        if (!received.ack_due || !connections_[i]) continue;
        FrameHeader header;
        header.type = FrameType::ack;
        header.track = static_cast<Track>(i);
        header.link = token_;
        header.sequence = received.sequence;
        header.flags = received.gap ? 1 : 0;
        header.stamp_us = received.gap ? received.gap_stamp_us : received.stamp_us;
        header.offset = static_cast<std::uint32_t>(received.arrived_us);
        header.total = static_cast<std::uint32_t>(received.link_bytes);
        header.hold_us = static_cast<std::uint32_t>(
            std::clamp<std::int64_t>(now_us - received.arrived_us, 0, 0xffffffff));
        const SendOutcome sent = transport.send(*connections_[i], encode_frame(header));
        if (sent == SendOutcome::full) continue;  // the next call tries again
        stats_.sent_wire_bytes += kFrameHeaderBytes;
        received.ack_due = received.gap = false;
    }
}

Result<std::optional<Bytes>> LinkChannel::on_data(const FrameHeader& header, ByteSpan payload,
                                                  std::int64_t now_us) {
    Received& received = received_[index(header.track)];
    stats_.received_wire_bytes += header.payload + kFrameHeaderBytes;
    received_bytes_ += header.payload + kFrameHeaderBytes;
    received.ack_due = true;
    const bool twice = canary(Canary::frame_twice) && header.sequence <= received.sequence;
    if (header.sequence != received.sequence + 1 && !twice) {
        if (header.sequence <= received.sequence) {
            ++stats_.duplicate_frames;
        } else {
            received.gap = true;
            received.gap_stamp_us = header.stamp_us;
        }
        return std::optional<Bytes>();
    }
    received.sequence = header.sequence;
    received.stamp_us = header.stamp_us;
    received.arrived_us = now_us;
    received.link_bytes = received_bytes_;
    if ((header.flags & kProbeFlag) != 0) return std::optional<Bytes>();
    LaneStats& lane = stats_.received[static_cast<std::size_t>(header.lane)];
    lane.bytes += header.payload;
    auto message = reassembler_.add(header, payload);
    if (message && message->has_value()) ++lane.messages;
    return message;
}

Status LinkChannel::on_ack(const FrameHeader& header, std::int64_t now_us) {
    SendTrack& sender = tracks_[index(header.track)];
    stats_.received_wire_bytes += kFrameHeaderBytes;
    bool valid = false;
    const bool was_held = held(header.track);
    const SendTrack::Acked acked = sender.acknowledge(header.sequence, valid);
    if (!valid) {
        return make_error(StatusCode::data_loss,
                          "the peer acknowledges {} frames; frame {} is the next to be sent",
                          header.sequence, sender.next_sequence());
    }
    const std::int64_t stamp = static_cast<std::int64_t>(header.stamp_us);
    if (header.flags != 0) sender.rewind_for(stamp, now_us);
    if (acked.bytes == 0) return {};
    last_progress_us_ = now_us;
    vain_resends_ = 0;
    const std::int64_t arrived_us = peer_clock_.follow(header.offset);
    const std::int64_t peer_bytes = peer_bytes_.follow(header.total);
    if (header.track == Track::bulky) {
        const ProbeTrains::Ack ack = {header.sequence, arrived_us, header.hold_us,
                                      meter_.min_rtt_us(), acked.resent};
        const auto rate = probes_.on_ack(ack, now_us);
        if (rate) meter_.set_probed(*rate, now_us);
    }
    if (acked.resent || header.flags != 0 || stamp <= 0 || stamp > now_us) return {};
    LinkMeter::Sample sample;
    sample.now_us = now_us;
    sample.round_trip_us = now_us - stamp - static_cast<std::int64_t>(header.hold_us);
    sample.track = header.track;
    sample.acked_bytes = acked.bytes;
    sample.in_flight_bytes = shared_.in_flight_bytes;
    sample.sent_us = stamp;
    sample.arrived_us = arrived_us;
    sample.received_bytes = peer_bytes;
    sample.idle_us = acked.idle_us;
    sample.held = was_held;
    meter_.add(sample);
    return {};
}

std::size_t LinkChannel::pending_bytes() const {
    std::size_t bytes = 0;
    for (std::size_t queued : queued_bytes_) bytes += queued;
    for (const SendTrack& sender : tracks_) bytes += sender.in_flight_bytes();
    return bytes;
}

ChannelStats LinkChannel::stats() const {
    ChannelStats stats = stats_;
    stats.smoothed_rtt_us = meter_.smoothed_rtt_us();
    stats.min_rtt_us = meter_.min_rtt_us();
    stats.link = meter_.model();
    stats.probed_bytes_per_s = probes_.rate(stats.min_rtt_us);
    stats.probed = probes_.settled();
    return stats;
}

}  // namespace molink
