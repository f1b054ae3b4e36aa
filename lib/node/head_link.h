#pragma once

#include <cstdint>
#include <string>

#include <molink/status.h>
#include <molink/types.h>

#include "channel/channel_hub.h"
#include "wire/messages.h"

namespace molink {

/// A worker's association with its head: dialled, reached, welcomed, gone, dialled again. Knows the
/// deadlines and the back-off, sends nothing. Thread: the node's loop.
class HeadLink {
public:
    struct Patience {
        std::int64_t join_within_us = 0;       ///< until a head welcomes the node the first time
        std::int64_t give_up_after_us = 0;     ///< until one welcomes it again
        std::int64_t head_lost_after_us = 0;   ///< of silence
        std::int64_t reconnect_within_us = 0;  ///< after a reset
    };
    /// `doubt` follows the error when nobody answers: another cause than an absent head. Negative
    /// times of joining and giving up are unlimited.
    HeadLink(std::string address, Patience patience, std::string doubt = {})
        : address_(std::move(address)), patience_(patience), doubt_(std::move(doubt)) {}

    /// `link` was dialled, for the first time or again.
    void begin(PeerLinkId link, std::int64_t now_us);
    /// The present link is not used any longer: it is to be dialled again a little later, for
    /// another reason than the head's.
    void postpone(std::int64_t now_us);
    /// The head is gone, or turned this node away, as `reason` says. It is to be dialled again, the
    /// later the more often that has happened.
    void leave(const Status& reason, std::int64_t now_us);
    /// The present link is not used any longer.
    bool postponed() const { return redial_us_ != 0; }
    /// Returns whether the head is to be dialled again.
    bool redial_due(std::int64_t now_us) const { return redial_us_ != 0 && now_us >= redial_us_; }
    PeerLinkId link() const { return link_; }
    /// When the present link was dialled.
    std::int64_t dialled_us() const { return dialled_us_; }
    const std::string& address() const { return address_; }

    void on_up(std::int64_t now_us);
    void on_interrupted(std::int64_t now_us) { interrupted_us_ = now_us; }
    void on_resumed(std::int64_t now_us);
    void on_heard(std::int64_t now_us) { heard_us_ = now_us; }
    void on_welcome(const Welcome& welcome, std::int64_t now_us);
    /// See HubSink::on_resolved().
    void on_resolved(const Status& outcome) { unresolved_ = outcome.message(); }

    /// Something can be sent.
    bool up() const { return up_; }
    bool welcomed() const { return welcomed_; }
    /// The id that the head gave this node; the name of the head. Only when welcomed().
    NodeId node() const { return node_; }
    const std::string& name() const { return name_; }

    /// Ok while the head is not overdue. Errors: unavailable, and why the head counts as lost.
    Status check(std::int64_t now_us) const;
    /// Returns whether the node has been without a head for longer than it may be.
    bool exhausted(std::int64_t now_us) const;
    /// Why there is no head: that of the last leave(), or unavailable when none has answered yet.
    Status absence(std::int64_t now_us) const;

private:
    std::string address_;
    Patience patience_;
    std::string doubt_;
    std::string unresolved_;  // why the head's name cannot be resolved
    PeerLinkId link_;
    bool up_ = false;
    bool welcomed_ = false;
    bool ever_welcomed_ = false;
    NodeId node_{0};
    std::string name_;
    Status gone_;                   // why the head is gone; ok before it was
    std::int64_t absent_us_ = -1;   // without a head since; negative: not begun
    std::int64_t welcomed_us_ = 0;  // since when
    std::int64_t backoff_us_ = 0;   // the last one; 0: none
    std::int64_t dialled_us_ = 0;
    std::int64_t redial_us_ = 0;  // when; 0: it is dialled
    std::int64_t heard_us_ = 0;
    std::int64_t interrupted_us_ = 0;  // since when; 0: connected
};

}  // namespace molink
