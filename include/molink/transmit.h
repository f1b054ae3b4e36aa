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

/// One lane of a link as a policy sees it.
struct LaneView {
    std::size_t queued_messages = 0;
    std::size_t queued_bytes = 0;      ///< not yet cut into frames
    std::size_t front_bytes = 0;       ///< left of the oldest message
    std::int64_t front_queued_us = 0;  ///< when the oldest message was queued (now_us scale)
    std::uint64_t sent_bytes = 0;      ///< since the link came up
};

/// A link at the moment it is free to take a frame.
struct TransmitView {
    std::int64_t now_us = 0;
    LinkModel link;                   ///< measured; bytes_per_s 0 while unknown
    std::size_t max_frame_bytes = 0;  ///< upper bound of a frame's payload
    std::int64_t hol_bound_us = 0;    ///< head-of-line bound
    LaneView lanes[kLaneCount];       ///< by Lane
};

/// Which lane sends next and how much of its oldest message.
struct TransmitPlan {
    bool send = false;
    Lane lane = Lane::control;
    std::size_t bytes = 0;  ///< 1 .. min(front_bytes, max_frame_bytes)
};

/// Chooses what goes onto a link next. Pure policy: called when the link is free, sends nothing,
/// reads no clock. The channel checks every plan; a wrong one is replaced by the most urgent lane's
/// front.
///
/// Thread: the node's loop; never concurrently for one object. One object serves one link.
class MOLINK_EXPORT TransmitPolicy {
public:
    virtual ~TransmitPolicy();
    /// Short name for logs and metrics. Static storage.
    virtual std::string_view name() const = 0;
    virtual TransmitPlan next(const TransmitView& view) = 0;
};

/// Whole messages, first come first served over all lanes but control.
MOLINK_EXPORT std::unique_ptr<TransmitPolicy> make_fifo_transmit_policy();
/// The most urgent lane always first.
MOLINK_EXPORT std::unique_ptr<TransmitPolicy> make_strict_transmit_policy();

struct FairTransmitOptions {
    double prefill_share = 0.2;  ///< of the bytes while both wait, guaranteed to prefill; 0 .. 0.9
    double bulk_share = 0.02;    ///< guaranteed to bulk; 0 .. 0.5
};
/// Urgent lanes first, prefill and bulk keep a guaranteed share. The default.
MOLINK_EXPORT std::unique_ptr<TransmitPolicy> make_fair_transmit_policy(
    const FairTransmitOptions& options = {});

/// "fifo", "strict" or "fair". Errors: invalid_argument naming the known ones.
MOLINK_EXPORT Result<std::unique_ptr<TransmitPolicy>> make_transmit_policy(std::string_view name);

}  // namespace molink
