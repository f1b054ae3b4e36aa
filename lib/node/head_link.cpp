// When a worker counts its head as gone, when it dials it again, and when it gives up. The head
// loses nodes by the same clock, so a worker that waits as long as the head does never leaves while
// the head still counts on it. A head that turns a node away again and again is asked less and less
// often; one that kept it for a while is asked at once.
#include "node/head_link.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/limits.h"
#include "base/peer_limits.h"
#include "base/seconds.h"

namespace molink {

void HeadLink::begin(PeerLinkId link, std::int64_t now_us) {
    link_ = link;
    up_ = false;
    unresolved_.clear();
    redial_us_ = 0;
    dialled_us_ = now_us;
    interrupted_us_ = 0;
    if (absent_us_ < 0) absent_us_ = now_us;
}

void HeadLink::postpone(std::int64_t now_us) {
    up_ = false;
    redial_us_ = now_us + limits::kRejoinAfterUs;
}

void HeadLink::leave(const Status& reason, std::int64_t now_us) {
    const bool kept = welcomed_ && now_us - welcomed_us_ >= limits::kLongestRejoinUs;
    backoff_us_ = backoff_us_ == 0 || kept ? limits::kRejoinAfterUs
                                           : std::min(2 * backoff_us_, limits::kLongestRejoinUs);
    if (std::exchange(welcomed_, false)) absent_us_ = now_us;
    gone_ = reason;
    up_ = false;
    redial_us_ = now_us + backoff_us_;
}

void HeadLink::on_up(std::int64_t now_us) {
    up_ = true;
    heard_us_ = now_us;
}

void HeadLink::on_resumed(std::int64_t now_us) {
    interrupted_us_ = 0;
    heard_us_ = now_us;
}

void HeadLink::on_welcome(const Welcome& welcome, std::int64_t now_us) {
    welcomed_ = ever_welcomed_ = true;
    welcomed_us_ = now_us;
    node_ = welcome.node;
    name_ = welcome.head_name;
}

Status HeadLink::check(std::int64_t now_us) const {
    if (!welcomed_) return {};
    if (interrupted_us_ != 0 && now_us - interrupted_us_ > patience_.reconnect_within_us) {
        return make_error(
            StatusCode::unavailable,
            "the head '{}' was lost: its connection was reset and did not come back within "
            "{:.1f} s",
            name_, seconds(patience_.reconnect_within_us));
    }
    if (now_us - heard_us_ <= patience_.head_lost_after_us) return {};
    return make_error(StatusCode::unavailable,
                      "the head '{}' was lost: no sign of life for {:.1f} s", name_,
                      seconds(now_us - heard_us_));
}

bool HeadLink::exhausted(std::int64_t now_us) const {
    const std::int64_t limit_us =
        ever_welcomed_ ? patience_.give_up_after_us : patience_.join_within_us;
    return !welcomed_ && absent_us_ >= 0 && limit_us >= 0 && now_us - absent_us_ >= limit_us;
}

Status HeadLink::absence(std::int64_t now_us) const {
    if (!gone_.ok()) {
        if (unresolved_.empty()) return gone_;
        return Status(gone_.code(), gone_.message() + "; " + unresolved_);
    }
    return make_error(StatusCode::unavailable, "no head answered at {} within {:.0f} s{}", address_,
                      seconds(now_us - absent_us_),
                      unresolved_.empty() ? doubt_ : ": " + unresolved_);
}

}  // namespace molink
