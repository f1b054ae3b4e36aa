#pragma once

#include <string>

#include <molink/metrics.h>

#include "channel/message_channel.h"

namespace molink {

/// A channel's counters as the public metrics show them.
inline LinkMetrics make_link_metrics(const std::string& peer, const ChannelStats& stats) {
    LinkMetrics metrics;
    metrics.peer = peer;
    metrics.sent_bytes = stats.sent_wire_bytes;
    metrics.received_bytes = stats.received_wire_bytes;
    metrics.resent_bytes = stats.resent_bytes;
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
        metrics.lane_sent_bytes[lane] = stats.sent[lane].bytes;
        metrics.lane_received_bytes[lane] = stats.received[lane].bytes;
        metrics.lane_sent_messages[lane] = stats.sent[lane].messages;
        metrics.lane_queue_us[lane] = stats.sent[lane].queued_us;
    }
    metrics.round_trip_us = stats.smoothed_rtt_us;
    metrics.model = stats.link;
    return metrics;
}

}  // namespace molink
