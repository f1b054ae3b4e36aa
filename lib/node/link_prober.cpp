// One link being measured, seen from either end. The hello and the words that pass the turn are
// alone on the link when they go, so their round trips have no queue in them; what trains wait for
// each other does not count. Whoever dials reports; an end that falls silent costs the time-out and
// no more.
#include "node/link_prober.h"

#include <algorithm>
#include <limits>

#include "base/limits.h"
#include "channel/probe_trains.h"

namespace molink {
namespace {

constexpr double kTrainBytes =
    static_cast<double>(ProbeTrains::kFrames) * static_cast<double>(limits::kMaxFrameBytes);

}  // namespace

void LinkProber::dial(NodeId self, const ProbeLink& target, std::int64_t now_us) {
    Probe probe;
    probe.self = self;
    probe.peer = target.node;
    probe.dialed = true;
    probe.step = Step::reaching;
    probe.both_ways = target.node == NodeId(0);
    probe.turn_us = target.second ? now_us + limits::kProbeTurnUs : 0;
    const std::int64_t shares = target.second || probe.both_ways ? 2 : 1;
    probe.until_us = now_us + shares * limits::kProbeWithinUs;
    const auto link = hub_->dial({target.address, target.key});
    if (!link) {
        log_(LogLevel::warning, "could not measure the link to node {} at {}: {}",
             target.node.value, target.address, link.error().message());
        return;  // the head's own time-out counts
    }
    hub_->probe(*link, false);
    probes_.emplace(*link, probe);
}

bool LinkProber::handle(PeerLinkId link, NodeId self, const Message& message, bool welcome,
                        std::int64_t now_us) {
    if (owns(link)) {
        on_message(link, message);
        return true;
    }
    const auto* hello = std::get_if<ProbeHello>(&message);
    return welcome && hello != nullptr && accept(link, self, hello->node, now_us);
}

/// False: too many are here.
bool LinkProber::accept(PeerLinkId link, NodeId self, NodeId peer, std::int64_t now_us) {
    std::size_t accepted = 0;
    for (auto it = probes_.begin(); it != probes_.end();) {
        const Probe& probe = it->second;
        if (!probe.dialed && probe.peer == peer) {
            hub_->close(it->first);  // it has begun anew
            it = probes_.erase(it);
            continue;
        }
        accepted += probe.dialed ? 0 : 1;
        ++it;
    }
    if (accepted >= limits::kMaxProbedLinks) return false;
    hub_->probe(link, false);
    Probe probe;
    probe.self = self;
    probe.peer = peer;
    probe.up = true;
    probe.until_us = now_us + 2 * limits::kProbeWithinUs + limits::kProbeGraceUs;
    probes_.emplace(link, probe);
    return true;
}

void LinkProber::on_link_up(PeerLinkId link) {
    Probe& probe = probes_.at(link);
    probe.up = true;
    send(link, ProbeHello{probe.self});
}

void LinkProber::drop() {
    for (const auto& [link, probe] : probes_) hub_->close(link);
    probes_.clear();
}

void LinkProber::on_link_lost(PeerLinkId link) {
    Probe& probe = probes_.at(link);
    probe.step = Step::over;
    probe.up = false;
}

void LinkProber::on_message(PeerLinkId link, const Message& message) {
    Probe& probe = probes_.at(link);
    const auto* words = std::get_if<LinkProbe>(&message);
    if (words == nullptr || probe.step != Step::waiting || probe.back) {
        log_(LogLevel::warning, "unexpected {} message on a link that is being measured",
             message_name(message));
        probe.step = Step::over;
        return;
    }
    probe.back = *words;
    if (probe.dialed) {
        probe.step = Step::over;
    } else if (Probe* own = dialed_to(probe.peer)) {
        own->turn_us = 0;
        probe.step = Step::over;
    } else {
        hub_->probe(link, true);
        probe.step = Step::measuring;
    }
}

bool LinkProber::has_accepted(NodeId peer) const {
    return std::any_of(probes_.begin(), probes_.end(), [&](const auto& entry) {
        return !entry.second.dialed && entry.second.peer == peer;
    });
}

LinkProber::Probe* LinkProber::dialed_to(NodeId peer) {
    const auto found = std::find_if(probes_.begin(), probes_.end(), [&](const auto& entry) {
        return entry.second.dialed && entry.second.peer == peer;
    });
    return found == probes_.end() ? nullptr : &found->second;
}

LinkProbe LinkProber::measured(PeerLinkId link, const Probe& probe) const {
    const ChannelStats stats = hub_->stats(link);
    LinkProbe words;
    words.from = probe.self;
    words.to = probe.peer;
    words.reached = stats.probed_bytes_per_s.has_value() && stats.min_rtt_us > 0;
    words.bytes_per_s = stats.probed_bytes_per_s.value_or(0);
    words.delay_us = stats.link.delay_us;
    // What a train waits for itself is no jitter.
    const double own = words.bytes_per_s > 0 ? kTrainBytes * 1e6 / words.bytes_per_s : 0;
    words.jitter_us =
        std::max<std::int64_t>(0, stats.link.jitter_us - static_cast<std::int64_t>(own));
    return words;
}

void LinkProber::advance(PeerLinkId link, Probe& probe, std::int64_t now_us) {
    if (now_us >= probe.until_us) {
        probe.step = Step::over;
    } else if (probe.step == Step::reaching) {
        if (probe.up && hub_->pending_bytes(link) == 0) probe.step = Step::queued;
    } else if (probe.step == Step::waiting && probe.dialed && !probe.both_ways) {
        if (hub_->pending_bytes(link) == 0) probe.step = Step::over;
    }
    if (probe.step == Step::queued && now_us >= probe.turn_us &&
        (probe.turn_us == 0 || !has_accepted(probe.peer))) {
        hub_->probe(link, true);
        probe.step = Step::measuring;
    } else if (probe.step == Step::measuring && hub_->stats(link).probed) {
        probe.own = measured(link, probe);
        send(link, *probe.own);
        probe.step = Step::waiting;
    }
}

void LinkProber::send(PeerLinkId link, const Message& message) {
    const Status sent = hub_->send(link, Lane::control, {}, encode_message(message));
    if (!sent.ok())
        log_(LogLevel::warning, "could not send on a link that is being measured: {}",
             sent.message());
}

void LinkProber::conclude(PeerLinkId link, Probe& probe, std::vector<LinkProbe>& results) {
    if (probe.dialed) {
        LinkProbe there = probe.own ? *probe.own : measured(link, probe);
        if (probe.back && there.reached) {
            LinkProbe back = *probe.back;
            back.from = probe.peer;
            back.to = probe.self;
            // One round trip, seen from both ends.
            back.delay_us = there.delay_us = std::min(there.delay_us, back.delay_us);
            if (back.reached) results.push_back(back);
        }
        results.push_back(there);
    }
    hub_->close(link);
}

std::vector<LinkProbe> LinkProber::pump(std::int64_t now_us) {
    std::vector<LinkProbe> results;
    for (auto it = probes_.begin(); it != probes_.end();) {
        advance(it->first, it->second, now_us);
        if (it->second.step != Step::over) {
            ++it;
            continue;
        }
        conclude(it->first, it->second, results);
        it = probes_.erase(it);
    }
    return results;
}

std::int64_t LinkProber::next_timer_us() const {
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (const auto& [link, probe] : probes_) {
        next = std::min(next, probe.until_us);
        if (probe.step == Step::queued && !has_accepted(probe.peer)) {
            next = std::min(next, probe.turn_us);
        }
    }
    return next;
}

}  // namespace molink
