#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include <molink/partitioner.h>

#include "wire/messages.h"

namespace molink {

/// What the head knows of the links between all nodes, and who has to measure next. Pairs follow a
/// round-robin tournament, and a node measures with one other at a time, so that no uplink carries
/// two measurements. At most kMaxProbeRounds others for each node, and no new pair after
/// kSurveyWithinUs; links that stay unknown get what their ends have shown elsewhere. Pure: told
/// the time, sends nothing. Thread: the node's loop.
class LinkSurvey {
public:
    /// The first one measures first. Node 0, the head, dials nobody and comes second.
    using Pair = std::pair<NodeId, NodeId>;
    struct Turn {
        std::vector<Pair> begin;  ///< are to be asked now
        std::vector<Pair> late;   ///< have not answered in time
        bool going = false;       ///< something is still under way
    };

    /// The links between `nodes` are wanted. Call again when something happened or at
    /// next_timer_us(), until it is not going() any more.
    Turn advance(const std::vector<NodeId>& nodes, std::int64_t now_us);
    bool going() const { return began_us_ >= 0; }
    std::int64_t next_timer_us() const;
    /// Are these two measuring right now?
    bool under_way(NodeId a, NodeId b) const { return active_.contains(pair_of(a, b)); }
    /// A result that `reporter` sent. False when nobody asked for it.
    bool add_result(NodeId reporter, const LinkProbe& probe, std::int64_t now_us);
    /// The node is gone.
    void forget(NodeId node);

    /// All that is known or can be guessed between `nodes`, in their order.
    std::vector<PartitionLink> links(const std::vector<NodeId>& nodes) const;

private:
    struct Active {
        std::int64_t until_us = 0;
        bool first = false;  // has reported its direction
        bool second = false;
    };

    static Pair pair_of(NodeId a, NodeId b) { return {std::max(a, b), std::min(a, b)}; }
    bool busy(NodeId node) const;
    bool wanted(const Pair& pair, std::int64_t now_us) const;
    void conclude(const Pair& pair, std::int64_t now_us);
    std::vector<Pair> drop_late(std::int64_t now_us);

    std::map<Pair, LinkModel> known_;            // by from and to
    std::map<Pair, std::int64_t> unreached_us_;  // when it was tried
    std::map<Pair, Active> active_;
    std::int64_t began_us_ = -1;  // -1: not going on
};

}  // namespace molink
