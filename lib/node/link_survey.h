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

/// What the head knows of the links between all nodes, and which pair measures next. Pairs follow a
/// round-robin tournament. A node measures with one other node at a time, so that no uplink carries
/// two measurements. Each node measures with at most kMaxProbeRounds others, and no pair begins
/// after kSurveyWithinUs; for links that stay unknown, links() uses what their ends have shown
/// elsewhere. Pure: takes the time as an argument and sends nothing. Thread: the node's loop.
class LinkSurvey {
public:
    /// The first node measures first. The head dials nobody, so it comes second.
    using Pair = std::pair<NodeId, NodeId>;
    struct Turn {
        std::vector<Pair> begin;  ///< pairs to ask now
        std::vector<Pair> late;   ///< pairs that have not answered in time
        bool going = false;       ///< measurements are under way
    };

    /// Surveys the links between `nodes`. Call it again after each result and at next_timer_us(),
    /// until going() is false.
    Turn advance(const std::vector<NodeId>& nodes, std::int64_t now_us);
    bool going() const { return began_us_ >= 0; }
    std::int64_t next_timer_us() const;
    /// Returns true while these two measure.
    bool under_way(NodeId a, NodeId b) const { return active_.contains(pair_of(a, b)); }
    /// Adds a result that `reporter` sent. Returns false when nobody asked for it.
    bool add_result(NodeId reporter, const LinkProbe& probe, std::int64_t now_us);
    /// Forgets a node that is gone.
    void forget(NodeId node);

    /// Returns what is known, or can be guessed, of the links between `nodes`, in their order.
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
