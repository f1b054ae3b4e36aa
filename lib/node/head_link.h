#pragma once

#include <cstdint>
#include <string>

#include <molink/status.h>
#include <molink/types.h>

#include "channel/channel_hub.h"
#include "wire/messages.h"

namespace molink {

/// A worker's association with its head: dialled, reached, welcomed, perhaps lost. Knows the
/// deadlines, sends nothing. Thread: the node's loop.
class HeadLink {
public:
    struct Patience {
        std::int64_t join_within_us = 0;       ///< until the head welcomes the node
        std::int64_t head_lost_after_us = 0;   ///< of silence
        std::int64_t reconnect_within_us = 0;  ///< after a reset
    };
    /// `doubt` follows the error when nobody answers: another cause than an absent head.
    HeadLink(std::string address, Patience patience, std::string doubt = {})
        : address_(std::move(address)), patience_(patience), doubt_(std::move(doubt)) {}

    /// `link` was dialled, for the first time or again.
    void begin(PeerLinkId link, std::int64_t now_us);
    /// The head turned this node away for now: it is to be dialled again a little later.
    void postpone(std::int64_t now_us);
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
    void on_welcome(const Welcome& welcome);
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

private:
    std::string address_;
    Patience patience_;
    std::string doubt_;
    std::string unresolved_;  // why the head's name cannot be resolved
    PeerLinkId link_;
    bool up_ = false;
    bool welcomed_ = false;
    NodeId node_{0};
    std::string name_;
    bool began_ = false;
    std::int64_t began_us_ = 0;
    std::int64_t dialled_us_ = 0;
    std::int64_t redial_us_ = 0;  // when; 0: it is dialled
    std::int64_t heard_us_ = 0;
    std::int64_t interrupted_us_ = 0;  // since when; 0: connected
};

}  // namespace molink
