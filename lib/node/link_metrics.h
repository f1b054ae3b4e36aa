#pragma once

#include <algorithm>
#include <string>

#include <molink/metrics.h>

#include "channel/message_channel.h"
#include "wire/messages.h"

namespace molink {

/// Converts a channel's counters to public metrics.
inline LinkMetrics make_link_metrics(const std::string& node, const std::string& peer,
                                     const ChannelStats& stats) {
    LinkMetrics metrics;
    metrics.node = node;
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

/// Converts metrics to the form in which they travel to the head.
inline LinkReport make_link_report(const LinkMetrics& metrics) {
    LinkReport report;
    report.sent_bytes = metrics.sent_bytes;
    report.received_bytes = metrics.received_bytes;
    report.resent_bytes = metrics.resent_bytes;
    for (std::size_t lane = 0; lane < kLaneCount; ++lane) {
        report.lane_sent_bytes.push_back(metrics.lane_sent_bytes[lane]);
        report.lane_received_bytes.push_back(metrics.lane_received_bytes[lane]);
        report.lane_sent_messages.push_back(metrics.lane_sent_messages[lane]);
        report.lane_queue_us.push_back(metrics.lane_queue_us[lane]);
    }
    report.round_trip_us = metrics.round_trip_us;
    report.bytes_per_s = metrics.model.bytes_per_s;
    report.delay_us = metrics.model.delay_us;
    report.jitter_us = metrics.model.jitter_us;
    return report;
}

inline LinkModel link_model(const LinkReport& report) {
    return {report.bytes_per_s, report.delay_us, report.jitter_us};
}

/// Converts them back. Lanes that an older node does not know stay 0.
inline LinkMetrics make_link_metrics(const std::string& node, const std::string& peer,
                                     const LinkReport& report) {
    LinkMetrics metrics;
    metrics.node = node;
    metrics.peer = peer;
    metrics.sent_bytes = report.sent_bytes;
    metrics.received_bytes = report.received_bytes;
    metrics.resent_bytes = report.resent_bytes;
    const auto copy = [](const auto& from, auto& to) {
        for (std::size_t i = 0; i < std::min(from.size(), kLaneCount); ++i) to[i] = from[i];
    };
    copy(report.lane_sent_bytes, metrics.lane_sent_bytes);
    copy(report.lane_received_bytes, metrics.lane_received_bytes);
    copy(report.lane_sent_messages, metrics.lane_sent_messages);
    copy(report.lane_queue_us, metrics.lane_queue_us);
    metrics.round_trip_us = report.round_trip_us;
    metrics.model = link_model(report);
    return metrics;
}

}  // namespace molink
