#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <molink/clock.h>

#include "base/random.h"
#include "channel/channel_hub.h"

namespace molink::bench {

/// What a load sends over a link, in one direction.
struct ChannelLoadOptions {
    bool prefill = false;  ///< messages of 4 MiB, of which two always wait
    bool bulk = false;     ///< the same in the bulk lane
    /// True: decode parts of 128 rows (hidden size 4096, int8), of which two always wait. False:
    /// one row every 10 to 40 ms.
    bool decode_backlog = false;
    std::uint64_t seed = 1;
    bool padded = false;  ///< messages hold 16 bytes; padding() adds the rest
};

/// Returns the bytes that a message of a padded load lacks, for ChannelOptions::padding.
std::size_t padding(ByteSpan message);

/// Keeps a link's lanes filled. The driver of the hub calls tick() after every poll.
class ChannelLoad {
public:
    /// `clock` and `hub` must outlive the load.
    ChannelLoad(const Clock& clock, ChannelHub& hub, PeerLinkId link,
                const ChannelLoadOptions& options);
    /// Queues what is due. Returns true when it queued anything.
    bool tick();
    /// Returns when the next row is due.
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

/// Records how long decode messages were under way.
class ChannelListener final : public HubSink {
public:
    explicit ChannelListener(const Clock& clock) : clock_(clock) {}
    bool permits(const PublicKey&) override { return true; }
    void on_link_up(PeerLinkId link, bool) override {
        up.push_back(link);
        hub->trust(link);
    }
    void on_link_interrupted(PeerLinkId) override {}
    void on_link_resumed(PeerLinkId) override {}
    void on_link_lost(PeerLinkId, const Status& reason) override { lost = reason.to_string(); }
    void on_message(PeerLinkId link, Lane lane, PipelineEpoch epoch, Bytes message) override;

    ChannelHub* hub = nullptr;  ///< whose events these are
    std::vector<PeerLinkId> up;
    std::vector<std::int64_t> times_us;  ///< from queueing to arrival
    std::string lost;

private:
    const Clock& clock_;
};

/// The results of one run.
struct ChannelFigures {
    double wait_ms[3] = {};   ///< p50, p99 and max, without propagation
    double busy = 0;          ///< share of the time in which the link was busy
    double prefill_rate = 0;  ///< payload, as a share of what the link could carry
    double bulk_rate = 0;
    double prefill_share = 0;  ///< share of all payload
};

/// Sets the waits from times under way.
void set_waits(ChannelFigures& figures, std::vector<std::int64_t> times_us, std::int64_t delay_us);
/// Sets the shares from the counters at the begin and the end of a span, in which the link could
/// have carried `carried_bytes`.
void set_shares(ChannelFigures& figures, const ChannelStats& begin, const ChannelStats& end,
                double carried_bytes);

}  // namespace molink::bench
