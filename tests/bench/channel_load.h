#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <molink/clock.h>

#include "base/random.h"
#include "channel/channel_hub.h"

namespace molink::bench {

/// What is put onto a link, all of it in one direction.
struct ChannelLoadOptions {
    bool prefill = false;  ///< messages of 4 MiB, two always wait
    bool bulk = false;     ///< likewise
    /// Decode parts of 128 rows of hidden size 4096 in int8, two always wait; otherwise one row
    /// every 10 to 40 ms, whose waits are what is measured.
    bool decode_backlog = false;
    std::uint64_t seed = 1;
    bool padded = false;  ///< messages hold 16 bytes and count for what they say (see padding())
};

/// For ChannelOptions::padding of padded loads.
std::size_t padding(ByteSpan message);

/// Keeps a link's lanes filled. Whoever drives the hub calls tick() after every poll.
class ChannelLoad {
public:
    /// `clock` and `hub` must outlive it.
    ChannelLoad(const Clock& clock, ChannelHub& hub, PeerLinkId link,
                const ChannelLoadOptions& options);
    /// Queues what is due. True when that was something.
    bool tick();
    /// When the next row is due.
    std::int64_t next_us() const { return next_us_; }

private:
    bool top_up(Lane lane, std::size_t bytes);
    void send(Lane lane, std::size_t bytes);

    const Clock& clock_;
    ChannelHub& hub_;
    PeerLinkId link_;
    ChannelLoadOptions options_;
    Random random_;
    std::int64_t next_us_;
    std::uint64_t queued_[kLaneCount] = {};  // messages
    std::uint64_t before_[kLaneCount] = {};  // sent before this load began
};

/// Notes how long rows were under way.
class ChannelListener final : public HubSink {
public:
    explicit ChannelListener(const Clock& clock) : clock_(clock) {}
    void on_link_up(PeerLinkId link, bool) override { up.push_back(link); }
    void on_link_interrupted(PeerLinkId) override {}
    void on_link_resumed(PeerLinkId) override {}
    void on_link_lost(PeerLinkId, const Status& reason) override { lost = reason.to_string(); }
    void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override;

    std::vector<PeerLinkId> up;
    std::vector<std::int64_t> times_us;
    std::string lost;

private:
    const Clock& clock_;
};

/// What one run showed.
struct ChannelFigures {
    double wait_ms[3] = {};   ///< p50, p99, max, beyond propagation
    double busy = 0;          ///< share of the time in which the link carried something
    double prefill_rate = 0;  ///< of what the link could carry, payload
    double bulk_rate = 0;
    double prefill_share = 0;  ///< of all payload
};

/// Waits from times under way.
void set_waits(ChannelFigures& figures, std::vector<std::int64_t> times_us, std::int64_t delay_us);
/// Shares from the counters at the begin and the end of `span_us`.
void set_shares(ChannelFigures& figures, const ChannelStats& begin, const ChannelStats& end,
                double carried_bytes);

}  // namespace molink::bench
