// The load of channel_bench. A message begins with the bytes that it counts for and the time at
// which it was queued, so that the listener needs nothing else.
#include "channel_load.h"

#include <algorithm>

#include <molink/partitioner.h>

#include "base/bytes.h"

namespace molink::bench {
namespace {

constexpr std::size_t kHeldBytes = 16;
constexpr std::size_t kBulkyBytes = 4u << 20;
const auto kRowBytes = static_cast<std::size_t>(activation_row_bytes(DataType::int8, 4096));
constexpr std::size_t kBacklogRows = 128;

}  // namespace

std::size_t padding(ByteSpan message) {
    return static_cast<std::size_t>(read_le<std::uint64_t>(message, 0)) - message.size();
}

ChannelLoad::ChannelLoad(const Clock& clock, ChannelHub& hub, PeerLinkId link,
                         const ChannelLoadOptions& options)
    : clock_(clock),
      hub_(hub),
      link_(link),
      options_(options),
      random_(options.seed),
      next_us_(clock.now_us()) {
    const ChannelStats stats = hub.stats(link);
    for (std::size_t i = 0; i < kLaneCount; ++i) before_[i] = stats.sent[i].messages;
}

void ChannelLoad::send(Lane lane, std::size_t bytes) {
    Bytes message(options_.padded ? kHeldBytes : bytes);
    write_le(std::span<std::byte>(message), 0, static_cast<std::uint64_t>(bytes));
    write_le(std::span<std::byte>(message), 8, clock_.now_us());
    ++queued_[static_cast<std::size_t>(lane)];
    (void)hub_.send(link_, lane, {PipelineId(0), Epoch(1)}, std::move(message));
}

bool ChannelLoad::top_up(Lane lane, std::size_t bytes) {
    const auto at = static_cast<std::size_t>(lane);
    bool sent = false;
    while (queued_[at] < hub_.stats(link_).sent[at].messages - before_[at] + 2) {
        send(lane, bytes);
        sent = true;
    }
    return sent;
}

bool ChannelLoad::tick() {
    bool sent = false;
    if (options_.prefill) sent |= top_up(Lane::prefill, kBulkyBytes);
    if (options_.bulk) sent |= top_up(Lane::bulk, kBulkyBytes);
    if (options_.decode_backlog) {
        next_us_ = INT64_MAX;
        return top_up(Lane::decode, kBacklogRows * kRowBytes) || sent;
    }
    if (clock_.now_us() < next_us_) return sent;
    send(Lane::decode, kRowBytes);
    next_us_ = clock_.now_us() + 10'000 + static_cast<std::int64_t>(random_.below(30'000));
    return true;
}

void ChannelListener::on_message(PeerLinkId, Lane lane, PipelineEpoch, Bytes message) {
    if (lane != Lane::decode) return;
    times_us.push_back(clock_.now_us() - read_le<std::int64_t>(message, 8));
}

void set_waits(ChannelFigures& figures, std::vector<std::int64_t> times_us, std::int64_t delay_us) {
    if (times_us.empty()) return;
    std::sort(times_us.begin(), times_us.end());
    const double ranks[] = {0.5, 0.99, 1};
    for (std::size_t i = 0; i < 3; ++i) {
        const auto at =
            static_cast<std::size_t>(ranks[i] * static_cast<double>(times_us.size() - 1) + 0.5);
        figures.wait_ms[i] = static_cast<double>(times_us[at] - delay_us) / 1e3;
    }
}

void set_shares(ChannelFigures& figures, const ChannelStats& begin, const ChannelStats& end,
                double carried_bytes) {
    double bytes[kLaneCount] = {};
    double sum = 0;
    for (std::size_t i = 0; i < kLaneCount; ++i) {
        bytes[i] = static_cast<double>(end.sent[i].bytes - begin.sent[i].bytes);
        sum += bytes[i];
    }
    figures.prefill_share = sum > 0 ? bytes[static_cast<std::size_t>(Lane::prefill)] / sum : 0;
    figures.prefill_rate = bytes[static_cast<std::size_t>(Lane::prefill)] / carried_bytes;
    figures.bulk_rate = bytes[static_cast<std::size_t>(Lane::bulk)] / carried_bytes;
}

}  // namespace molink::bench
