// When a worker gives its head up. The head loses nodes by the same clock, so a worker that waits
// as long as the head does never ends while the head still counts on it. Before the welcome there
// is only one deadline: that of joining.
#include "node/head_link.h"

#include <utility>

#include "base/error.h"
#include "base/limits.h"

namespace molink {
namespace {

double seconds(std::int64_t us) {
    return static_cast<double>(us) / 1e6;
}

}  // namespace

void HeadLink::begin(PeerLinkId link, std::int64_t now_us) {
    link_ = link;
    redial_us_ = 0;
    dialled_us_ = now_us;
    interrupted_us_ = 0;
    if (std::exchange(began_, true)) return;
    began_us_ = now_us;
}

void HeadLink::postpone(std::int64_t now_us) {
    up_ = false;
    redial_us_ = now_us + limits::kRejoinAfterUs;
}

void HeadLink::on_up(std::int64_t now_us) {
    up_ = true;
    heard_us_ = now_us;
}

void HeadLink::on_resumed(std::int64_t now_us) {
    interrupted_us_ = 0;
    heard_us_ = now_us;
}

void HeadLink::on_welcome(const Welcome& welcome) {
    welcomed_ = true;
    node_ = welcome.node;
    name_ = welcome.head_name;
}

Status HeadLink::check(std::int64_t now_us) const {
    if (!welcomed_) {
        if (now_us - began_us_ <= patience_.join_within_us) return {};
        return make_error(StatusCode::unavailable, "no head answered at {} within {:.0f} s{}",
                          address_, seconds(patience_.join_within_us),
                          unresolved_.empty() ? doubt_ : ": " + unresolved_);
    }
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

}  // namespace molink
