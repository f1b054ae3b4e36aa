#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "channel/channel_hub.h"
#include "channel/frame_header.h"
#include "channel/link_meter.h"
#include "channel/probe_trains.h"
#include "channel/reassembler.h"
#include "channel/send_track.h"

namespace molink {

/// One peer link: its queues, its two tracks and their received frames. The hub decides which
/// connections carry it. Thread: the node's loop.
class LinkChannel {
public:
    LinkChannel(std::uint64_t token, bool dialed, const ChannelOptions& options,
                std::unique_ptr<TransmitPolicy> policy);

    std::uint64_t token() const { return token_; }
    bool dialed() const { return dialed_; }

    // -- Connections
    /// `connection` carries `track` from now on. The peer has received all frames up to
    /// `peer_received`; later ones are sent again. Errors: data_loss when that frame was never
    /// sent.
    Status attach(Track track, ConnectionId connection, std::uint64_t peer_received,
                  std::int64_t now_us);
    void detach(Track track) { connections_[index(track)].reset(); }
    std::optional<ConnectionId> connection(Track track) const { return connections_[index(track)]; }
    bool attached() const { return connections_[0] && connections_[1]; }
    /// Number of the newest frame received on a track.
    std::uint64_t received(Track track) const { return received_[index(track)].sequence; }

    // -- Sending
    Status queue(Lane lane, PipelineEpoch epoch, Bytes message, std::int64_t now_us);
    /// See ChannelHub::probe().
    void probe(bool on, std::int64_t now_us) { on ? probes_.restart(now_us) : probes_.stop(); }
    /// Sends as far as window and pace permit.
    void pump(Transport& transport, std::int64_t now_us);
    /// Returns when pump() should run again if nothing else happens. The time is far away if it
    /// need not.
    std::int64_t next_timer_us(std::int64_t now_us) const;
    void send_acks(Transport& transport, std::int64_t now_us);
    std::size_t pending_bytes() const;
    /// See ChannelHub::set_epoch().
    void set_epoch(PipelineEpoch epoch);

    // -- Receiving
    /// Handles a data frame. Returns a message when one is complete. Errors: data_loss; the peer
    /// link must end.
    Result<std::optional<Bytes>> on_data(const FrameHeader& header, ByteSpan payload,
                                         std::int64_t now_us);
    Status on_ack(const FrameHeader& header, std::int64_t now_us);
    /// Handles a data frame that cannot be accepted yet. Asks the peer to resend it as soon as the
    /// link is up: before that, the resent frame could not be accepted either.
    void put_off(const FrameHeader& header) {
        Received& received = received_[index(header.track)];
        received.ack_due = received.gap = true;
        received.gap_stamp_us = header.stamp_us;
    }

    ChannelStats stats() const;
    bool was_up = false;  ///< both tracks have been attached

private:
    static constexpr std::size_t index(Track track) { return static_cast<std::size_t>(track); }

    struct Queued {
        Bytes bytes;
        std::size_t total = 0;  // including padding
        std::size_t offset = 0;
        PipelineEpoch epoch;
        std::uint32_t number = 0;
        std::int64_t queued_us = 0;
    };
    struct Received {
        std::uint64_t sequence = 0;
        std::uint64_t stamp_us = 0;
        std::int64_t arrived_us = 0;
        std::uint64_t link_bytes = 0;  // data bytes on both tracks until then
        bool ack_due = false;
        bool gap = false;  // a frame arrived that does not follow
        std::uint64_t gap_stamp_us = 0;
    };

    bool may_send(Track track) const;
    bool window_full(Track track) const;
    bool held(Track track) const;
    TransmitView make_view(std::int64_t now_us) const;
    TransmitPlan choose(const TransmitView& view) const;
    void cut(const TransmitPlan& plan, std::int64_t now_us);
    bool drained() const;
    void send_probe(Transport& transport, std::int64_t now_us);
    std::size_t max_frame_bytes() const;
    bool hand_over(Transport& transport, Track track, std::int64_t now_us);
    bool send_next(Transport& transport, std::int64_t now_us);
    bool waits(std::size_t from, std::size_t to) const;
    void give_up_waiting(std::int64_t now_us);

    std::uint64_t token_;
    bool dialed_;
    ChannelOptions options_;
    std::unique_ptr<TransmitPolicy> policy_;
    std::array<std::optional<ConnectionId>, kTrackCount> connections_;
    SharedTrackState shared_;
    std::array<SendTrack, kTrackCount> tracks_{SendTrack(shared_), SendTrack(shared_)};
    std::array<Received, kTrackCount> received_;
    std::uint64_t received_bytes_ = 0;  // bytes of data frames
    std::array<std::deque<Queued>, kLaneCount> queues_;
    std::array<std::size_t, kLaneCount> queued_bytes_{};
    std::array<std::uint32_t, kLaneCount> next_message_{};
    Reassembler reassembler_;
    LinkMeter meter_;
    PeerCounter peer_clock_;
    PeerCounter peer_bytes_;
    ProbeTrains probes_;
    std::int64_t last_progress_us_ = 0;
    int vain_resends_ = 0;          // since last_progress_us_
    int urgent_before_resent_ = 0;  // frames in a row
    ChannelStats stats_;
};

}  // namespace molink
