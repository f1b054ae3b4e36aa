// Deadlines of parts. A stage measures itself how long it has held a part, so a head that slept for
// a while blames nobody. Where parts vanish without such a trace,
// only their age shows it, and the counts of what stages have received and sent say where. Limits
// are many times what profiles and measurements predict: a node that is slow serves, and a wrong
// accusation costs every request of the pipeline.
#include "node/part_watch.h"

#include <algorithm>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/peer_limits.h"
#include "base/seconds.h"

namespace molink {

void PartWatch::begin(std::size_t stages, std::size_t lm_head_stage) {
    stages_.assign(stages, std::nullopt);
    lm_head_stage_ = lm_head_stage;
}

void PartWatch::note(const StageActivity& activity) {
    stages_[activity.stage_index] = activity;
}

std::optional<PartWatch::Overdue> PartWatch::check(const PartsUnderWay& parts,
                                                   std::int64_t now_us) const {
    if (auto stuck = stuck_stage(parts)) return stuck;
    if (!parts.oldest_us || now_us - *parts.oldest_us <= part_limit_us(parts)) return {};
    Overdue overdue = blame(parts);
    overdue.reason = fmt::format("a part was launched {:.1f} s ago and has not come back: {}",
                                 seconds(now_us - *parts.oldest_us), overdue.reason);
    return overdue;
}

std::optional<PartWatch::Overdue> PartWatch::stuck_stage(const PartsUnderWay& parts) const {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        if (!stages_[i]) continue;
        const std::int64_t parts_us = std::min(limits::kPartPatience * parts.stages[i].total_us,
                                               limits::kLongestPartPatienceUs);
        const std::int64_t limit_us =
            canary(Canary::late_is_stuck) ? parts_us : patience_.node_lost_after_us + parts_us;
        if (stages_[i]->held_us <= limit_us) continue;
        return Overdue{i, fmt::format("it has not finished a part that it got {:.1f} s ago",
                                      seconds(stages_[i]->held_us))};
    }
    return {};
}

std::int64_t PartWatch::part_limit_us(const PartsUnderWay& parts) const {
    std::int64_t all_us = 0;
    for (const PartsUnderWay::AtStage& stage : parts.stages) {
        all_us += stage.total_us + stage.link_us;
    }
    return 2 * (patience_.node_lost_after_us + patience_.reconnect_within_us +
                limits::kNeighbourGraceUs) +
           limits::kPartPatience * std::min(all_us, limits::kLongestUs / limits::kPartPatience / 2);
}

/// Returns the stage where parts got lost: one that says nothing, else the first that has received
/// less than was sent to it, else the one that holds a part for longest, else the one that retires
/// parts.
PartWatch::Overdue PartWatch::blame(const PartsUnderWay& parts) const {
    std::uint64_t sent = parts.launched;
    std::size_t longest = lm_head_stage_;
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        if (!stages_[i]) return {i, "it does not say what its stage does"};
        if (stages_[i]->received < sent) {
            return {i, fmt::format("it has received {} of {} parts", stages_[i]->received, sent)};
        }
        if (stages_[i]->held_us > stages_[longest]->held_us) longest = i;
        sent = stages_[i]->sent;
    }
    return {longest, stages_[longest]->held_us > 0 ? fmt::format("it has held one for {:.1f} s",
                                                                 seconds(stages_[longest]->held_us))
                                                   : "it has retired too few parts"};
}

}  // namespace molink
