// See link_survey.h. The circle method gives the rounds of the tournament; they are an order of
// preference, not barriers: a pair begins as soon as both its nodes are free. A peer that did not
// answer within the time-out counts as that far away, so that the partitioner goes round it where
// it can; it is tried again at a later build.
#include "node/link_survey.h"

#include <algorithm>
#include <limits>

#include "base/limits.h"

namespace molink {
namespace {

/// Scheduling on a busy host makes loopback look this long; and steps make links alike that are
/// alike, so that the order of nodes does not hang on noise.
constexpr std::int64_t kDelayStepUs = 500;

/// Pairs of a round robin, those of round `round`; an odd number of nodes has a bye.
std::vector<std::pair<std::size_t, std::size_t>> pairs_of_round(std::size_t count,
                                                                std::size_t round) {
    const std::size_t seats = count + count % 2;
    const auto at = [&](std::size_t seat) {
        return seat == 0 ? std::size_t{0} : 1 + (seat - 1 + round) % (seats - 1);
    };
    std::vector<std::pair<std::size_t, std::size_t>> pairs;
    for (std::size_t i = 0; i < seats / 2; ++i) {
        const std::size_t a = at(i);
        const std::size_t b = at(seats - 1 - i);
        if (a < count && b < count) pairs.emplace_back(a, b);
    }
    return pairs;
}

std::size_t rounds_of(std::size_t count) {
    return std::min<std::size_t>(count + count % 2 - 1, limits::kMaxProbeRounds);
}

/// What links of one node, in one direction, have shown.
struct Side {
    double bytes_per_s = 0;  // of the fastest; 0: unlimited
    double delay_us = 0;     // mean
    std::size_t count = 0;

    void add(const LinkModel& link) {
        const bool unlimited = link.bytes_per_s <= 0 || (count > 0 && bytes_per_s <= 0);
        bytes_per_s = unlimited ? 0 : std::max(bytes_per_s, link.bytes_per_s);
        delay_us +=
            (static_cast<double>(link.delay_us) - delay_us) / static_cast<double>(count + 1);
        ++count;
    }
};

/// A link that nobody measured: no faster than either end has shown.
LinkModel guess(const Side& up, const Side& down) {
    LinkModel link;
    link.bytes_per_s = std::min(up.bytes_per_s, down.bytes_per_s);
    if (link.bytes_per_s <= 0) link.bytes_per_s = std::max(up.bytes_per_s, down.bytes_per_s);
    const int sides = (up.count > 0 ? 1 : 0) + (down.count > 0 ? 1 : 0);
    const double steps = (up.delay_us + down.delay_us) / std::max(sides, 1) / kDelayStepUs;
    link.delay_us = static_cast<std::int64_t>(steps + 0.5) * kDelayStepUs;
    return link;
}

}  // namespace

bool LinkSurvey::busy(NodeId node) const {
    return std::any_of(active_.begin(), active_.end(), [&](const auto& entry) {
        return entry.first.first == node || entry.first.second == node;
    });
}

bool LinkSurvey::wanted(const Pair& pair, std::int64_t now_us) const {
    const auto lacks = [&](const Pair& way) {
        if (known_.contains(way)) return false;
        const auto tried = unreached_us_.find(way);
        return tried == unreached_us_.end() || now_us - tried->second > limits::kProbeAgainUs;
    };
    return lacks(pair) || lacks({pair.second, pair.first});
}

/// What has not been measured by now was not reached.
void LinkSurvey::conclude(const Pair& pair, std::int64_t now_us) {
    active_.erase(pair);
    for (const Pair& way : {pair, Pair{pair.second, pair.first}}) {
        if (!known_.contains(way)) unreached_us_[way] = now_us;
    }
}

std::vector<LinkSurvey::Pair> LinkSurvey::drop_late(std::int64_t now_us) {
    std::vector<Pair> late;
    for (const auto& [pair, active] : active_) {
        if (active.until_us <= now_us) late.push_back(pair);
    }
    for (const Pair& pair : late) conclude(pair, now_us);
    return late;
}

LinkSurvey::Turn LinkSurvey::advance(const std::vector<NodeId>& nodes, std::int64_t now_us) {
    Turn turn;
    turn.late = drop_late(now_us);
    if (began_us_ < 0) began_us_ = now_us;
    const bool may_begin = now_us - began_us_ < limits::kSurveyWithinUs;
    for (std::size_t round = 0; may_begin && round < rounds_of(nodes.size()); ++round) {
        for (const auto& [a, b] : pairs_of_round(nodes.size(), round)) {
            const Pair pair = pair_of(nodes[a], nodes[b]);
            if (!wanted(pair, now_us)) continue;
            turn.going = true;
            if (busy(pair.first) || busy(pair.second)) continue;
            active_[pair] = {now_us + 2 * limits::kProbeWithinUs + limits::kProbeGraceUs};
            turn.begin.push_back(pair);
        }
    }
    turn.going = turn.going || !active_.empty();
    if (!turn.going) began_us_ = -1;
    return turn;
}

std::int64_t LinkSurvey::next_timer_us() const {
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (const auto& [pair, active] : active_) next = std::min(next, active.until_us);
    return next;
}

bool LinkSurvey::add_result(NodeId reporter, const LinkProbe& probe, std::int64_t now_us) {
    // The way from the head is measured on the worker's link, and the worker reports it first.
    const bool own = probe.from == reporter;
    if (!own && !(probe.from == NodeId(0) && probe.to == reporter)) return false;
    const auto found = active_.find(pair_of(probe.from, probe.to));
    if (found == active_.end()) return false;
    if (probe.reached) {
        const std::int64_t delay = (probe.delay_us + kDelayStepUs / 2) / kDelayStepUs;
        known_[{probe.from, probe.to}] = {probe.bytes_per_s, delay * kDelayStepUs, probe.jitter_us};
    }
    Active& active = found->second;
    (probe.from == found->first.first ? active.first : active.second) = true;
    const Pair pair = found->first;
    if (active.first && (active.second || pair.second == NodeId(0))) conclude(pair, now_us);
    return true;
}

void LinkSurvey::forget(NodeId node) {
    const auto of_node = [&](const auto& entry) {
        return entry.first.first == node || entry.first.second == node;
    };
    std::erase_if(known_, of_node);
    std::erase_if(unreached_us_, of_node);
    std::erase_if(active_, of_node);
}

std::vector<PartitionLink> LinkSurvey::links(const std::vector<NodeId>& nodes) const {
    std::vector<PartitionLink> links;
    if (known_.empty() && unreached_us_.empty()) return links;
    std::map<NodeId, Side> up;
    std::map<NodeId, Side> down;
    for (const auto& [pair, link] : known_) {
        up[pair.first].add(link);
        down[pair.second].add(link);
    }
    for (NodeId from : nodes) {
        for (NodeId to : nodes) {
            if (from == to) continue;
            const auto found = known_.find({from, to});
            LinkModel link;
            if (found != known_.end()) {
                link = found->second;
            } else if (unreached_us_.contains({from, to})) {
                link.delay_us = limits::kProbeWithinUs;
            } else {
                link = guess(up[from], down[to]);
            }
            links.push_back({from, to, link});
        }
    }
    return links;
}

}  // namespace molink
