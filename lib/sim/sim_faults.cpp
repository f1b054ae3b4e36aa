// Decides which injected fault explains which loss. A stall or freeze shorter than
// node_lost_after_us, or a cut that heals within reconnect_within_us, must cost no node. It
// explains no loss, unless several faults touch the same node and add up. After a fault ends, its
// consequences may last for the time-outs once more.
#include "sim/sim_faults.h"

#include <algorithm>
#include <iterator>

#include "base/limits.h"
#include "base/peer_limits.h"

namespace molink::sim {
namespace {

/// Heartbeats, redials and queues on top of a time-out.
constexpr std::int64_t kMarginUs = 2'500'000;

/// How head and workers report a lost node; one of these is part of the text. Any other error,
/// above all a message that does not fit, is a defect, whatever fault occurred near it.
constexpr std::string_view kLossReasons[] = {"did not come back",
                                             "no sign of life",
                                             "restarted",
                                             "closed the link",
                                             "it left",
                                             "could not be reached",
                                             "has loaded another tensor",
                                             "has not finished a part",
                                             "has not come back"};

bool touches(const SimFault& fault, const std::string& node) {
    return fault.node == node || (!fault.other.empty() && fault.other == node);
}

}  // namespace

static std::string_view fault_name(std::size_t index) {
    constexpr std::string_view kNames[] = {"crash", "vanish",   "freeze", "slow", "stall",
                                           "cut",   "disorder", "damage", "hang", "swallow"};
    static_assert(std::size(kNames) == kSimFaultKinds);
    return index < std::size(kNames) ? kNames[index] : "unknown";
}

FaultLog::FaultLog(const SimScenario& scenario) : scenario_(scenario) {
    const std::int64_t aftermath = scenario.node_lost_after_us + scenario.reconnect_within_us +
                                   limits::kNeighbourGraceUs + 2 * kMarginUs;
    for (const SimFault& fault : scenario.faults) {
        if (!severe(fault) && !overlapped(fault)) continue;
        std::int64_t until = fault.at_us + fault.duration_us + aftermath;
        if (fault.kind == SimFaultKind::swallow) until += limits::kLongestPartPatienceUs;
        const bool everyone =
            fault.kind == SimFaultKind::freeze && fault.node == scenario.nodes.front().name;
        for (const SimNode& node : scenario.nodes) {
            if (everyone || touches(fault, node.name)) {
                reasons_.push_back({node.name, fault.at_us, until});
            }
        }
    }
}

bool FaultLog::severe(const SimFault& fault) const {
    switch (fault.kind) {
        case SimFaultKind::crash:
        case SimFaultKind::vanish:
        case SimFaultKind::damage:
        case SimFaultKind::swallow: return true;
        case SimFaultKind::freeze:
        case SimFaultKind::hang:
        case SimFaultKind::stall:
            return fault.duration_us + kMarginUs >= scenario_.node_lost_after_us;
        case SimFaultKind::cut:
            return fault.duration_us + kMarginUs / 2 >= scenario_.reconnect_within_us;
        case SimFaultKind::slow:
        case SimFaultKind::disorder: return false;
    }
    return false;
}

bool FaultLog::overlapped(const SimFault& fault) const {
    if (fault.kind == SimFaultKind::slow) return false;
    return std::any_of(
        scenario_.faults.begin(), scenario_.faults.end(), [&](const SimFault& other) {
            if (&other == &fault || other.kind == SimFaultKind::slow) return false;
            const bool apart = other.at_us > fault.at_us + fault.duration_us + kMarginUs ||
                               fault.at_us > other.at_us + other.duration_us + kMarginUs;
            const bool head = touches(other, scenario_.nodes.front().name);
            return !apart && (head || touches(fault, other.node) ||
                              (!other.other.empty() && touches(fault, other.other)));
        });
}

bool FaultLog::explains(const std::string& text, std::int64_t now_us) const {
    const bool lost = std::any_of(
        std::begin(kLossReasons), std::end(kLossReasons),
        [&](std::string_view reason) { return text.find(reason) != std::string::npos; });
    if (!lost) return false;
    return std::any_of(reasons_.begin(), reasons_.end(), [&](const Reason& reason) {
        return now_us >= reason.from_us && now_us <= reason.until_us &&
               (text.find("node '" + reason.node + "'") != std::string::npos ||
                text.find("node '" + reason.node + "/") != std::string::npos);
    });
}

}  // namespace molink::sim

namespace molink {

std::string_view sim_fault_name(SimFaultKind kind) {
    return sim::fault_name(static_cast<std::size_t>(kind));
}

}  // namespace molink
