#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include <molink/export.h>
#include <molink/link.h>
#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// One lane of a link, as a policy sees it.
struct LaneView {
    std::size_t queued_messages = 0;
    std::size_t queued_bytes = 0;      ///< bytes that are not yet cut into frames
    std::size_t front_bytes = 0;       ///< the same of the oldest message
    std::int64_t front_queued_us = 0;  ///< time when the oldest message was queued, as now_us
    std::uint64_t sent_bytes = 0;      ///< bytes since the link came up
};

/// A link that is free to send a frame.
struct TransmitView {
    std::int64_t now_us = 0;
    LinkModel link;                   ///< measured; bytes_per_s is 0 while unknown
    std::size_t max_frame_bytes = 0;  ///< maximum payload of a frame
    std::int64_t hol_bound_us = 0;    ///< longest time of one prefill or bulk frame
    LaneView lanes[kLaneCount];       ///< by Lane
};

/// The lane that sends next, and how much of its oldest message.
struct TransmitPlan {
    bool send = false;
    Lane lane = Lane::control;
    std::size_t bytes = 0;  ///< 1 .. min(front_bytes, max_frame_bytes)
};

/// Chooses what a link sends next. An implementation is a pure policy: it sends nothing and reads
/// no clock. It is called when the link is free. The channel checks every plan and replaces a wrong
/// one, and an exception, by the oldest message of the most urgent lane.
///
/// Thread: the node's loop; calls on one object never overlap. One object serves one link.
class MOLINK_EXPORT TransmitPolicy {
public:
    virtual ~TransmitPolicy();
    /// Short name for logs and metrics. Static storage.
    virtual std::string_view name() const = 0;
    virtual TransmitPlan next(const TransmitView& view) = 0;
};

/// Sends whole messages in order of arrival over all lanes except control, which goes first.
MOLINK_EXPORT std::unique_ptr<TransmitPolicy> make_fifo_transmit_policy();
/// Always sends from the most urgent lane that has messages.
MOLINK_EXPORT std::unique_ptr<TransmitPolicy> make_strict_transmit_policy();

struct FairTransmitOptions {
    double prefill_share = 0.2;  ///< share of the bytes guaranteed to prefill; 0 .. 0.9
    double bulk_share = 0.02;    ///< share of the bytes guaranteed to bulk; 0 .. 0.5
};
/// The default. Sends urgent lanes first; prefill and bulk keep guaranteed shares.
MOLINK_EXPORT std::unique_ptr<TransmitPolicy> make_fair_transmit_policy(
    const FairTransmitOptions& options = {});

/// Makes "fifo", "strict" or "fair". Errors: invalid_argument, listing the known names.
MOLINK_EXPORT Result<std::unique_ptr<TransmitPolicy>> make_transmit_policy(std::string_view name);

}  // namespace molink
