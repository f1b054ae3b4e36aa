// The links beside a worker's stage. Both die with the epoch. The next stage must know this one
// before the first part can reach it, because lanes do not wait for each other; so a stage is ready
// only when its introduction has been acknowledged.
#include "node/stage_neighbours.h"

#include "base/error.h"
#include "base/seconds.h"

namespace molink {

void StageNeighbours::begin(PipelineEpoch epoch) {
    drop();
    epoch_ = epoch;
}

void StageNeighbours::drop() {
    if (next_) hub_->close(*next_);
    if (previous_) hub_->close(*previous_);
    next_.reset();
    previous_.reset();
    next_up_ = false;
    next_away_us_ = 0;
}

Status StageNeighbours::dial_next(const DialTarget& target, const PeerHello& hello,
                                  std::int64_t now_us) {
    next_away_us_ = now_us;
    next_address_ = target.address;
    unresolved_.clear();
    hello_ = hello;
    MOLINK_ASSIGN_OR_RETURN(next_, hub_->dial(target));
    return {};
}

bool StageNeighbours::next_ready() const {
    return next_ && next_up_ && hub_->pending_bytes(*next_) == 0;
}

std::optional<PeerLinkId> StageNeighbours::next() const {
    return next_up_ ? next_ : std::nullopt;
}

Status StageNeighbours::send_next(Lane lane, const Message& message) {
    if (!next_) return {};  // the head ends the epoch, or check_next() says so
    return hub_->send(*next_, lane, epoch_, encode_message(message));
}

Status StageNeighbours::check_next(std::int64_t now_us, std::int64_t patience_us) const {
    if (next_away_us_ == 0 || now_us - next_away_us_ <= patience_us) return {};
    const double patience_s = seconds(patience_us);
    if (never_reached_next()) {
        return make_error(StatusCode::unavailable,
                          "the next stage at {} could not be reached within {:.1f} s{}{}",
                          next_address_, patience_s, unresolved_.empty() ? "" : ": ", unresolved_);
    }
    return make_error(StatusCode::unavailable,
                      "the link to the next stage at {} was lost and did not come back within "
                      "{:.1f} s",
                      next_address_, patience_s);
}

void StageNeighbours::accept_previous(PeerLinkId link) {
    if (previous_) hub_->close(*previous_);
    previous_ = link;
    hub_->trust(link);
}

void StageNeighbours::on_up(PeerLinkId link) {
    if (!is_next(link)) return;
    next_up_ = true;
    next_away_us_ = 0;
    hub_->set_epoch(link, epoch_);
    const Status sent = send_next(Lane::control, Message(hello_));
    if (!sent.ok())
        log_(LogLevel::warning, "could not send hello to the next stage: {}", sent.message());
}

void StageNeighbours::on_interrupted(PeerLinkId link, std::int64_t now_us) {
    if (is_next(link)) next_away_us_ = now_us;
}

void StageNeighbours::on_resumed(PeerLinkId link) {
    if (is_next(link)) next_away_us_ = 0;
}

void StageNeighbours::on_resolved(PeerLinkId link, const Status& outcome) {
    if (is_next(link)) unresolved_ = outcome.message();
}

void StageNeighbours::on_lost(PeerLinkId link, const Status& reason, std::int64_t now_us) {
    if (is_previous(link)) previous_.reset();
    if (!is_next(link)) return;
    log_(LogLevel::warning, "the link to the next stage was lost: {}", reason.message());
    if (next_away_us_ == 0) next_away_us_ = now_us;
    next_.reset();
}

}  // namespace molink
