// Deadlines of parts. A stage measures itself how long it has held a part, and what it said last is
// not believed beyond the age of the oldest part, so that nobody is blamed for what is over. Where
// a part is gone and no stage holds it, nobody is blamed: counts of stages arrive at different
// times, and a stage may lie. Limits are many times what profiles and measurements predict: a node
// that is slow serves, and a wrong accusation costs every request of the pipeline.
#include "node/part_watch.h"

#include <algorithm>

#include "base/canary.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/peer_limits.h"
#include "base/seconds.h"

namespace molink {

std::optional<PartWatch::Overdue> PartWatch::check(const PartsUnderWay& parts,
                                                   std::int64_t now_us) const {
    if (auto stuck = stuck_stage(parts, now_us)) return stuck;
    if (!parts.oldest_known_us || now_us - *parts.oldest_known_us <= part_limit_us(parts)) {
        return {};
    }
    return Overdue{std::nullopt,
                   fmt::format("a part was launched {:.1f} s ago and has not come back; of {} "
                               "parts the stages have received and sent on {}",
                               seconds(now_us - *parts.oldest_known_us), parts.launched, counts())};
}

std::optional<PartWatch::Overdue> PartWatch::stuck_stage(const PartsUnderWay& parts,
                                                         std::int64_t now_us) const {
    if (!parts.oldest_us) return {};
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        if (!stages_[i]) continue;
        const std::int64_t held_us = std::min(stages_[i]->held_us, now_us - *parts.oldest_us);
        const std::int64_t parts_us = std::min(limits::kPartPatience * parts.stages[i].total_us,
                                               limits::kLongestPartPatienceUs);
        const std::int64_t limit_us =
            canary(Canary::late_is_stuck) ? parts_us : patience_.node_lost_after_us + parts_us;
        if (held_us <= limit_us) continue;
        return Overdue{i, fmt::format("it has not finished a part that it got {:.1f} s ago",
                                      seconds(held_us))};
    }
    return {};
}

std::int64_t PartWatch::part_limit_us(const PartsUnderWay& parts) const {
    constexpr std::int64_t kMost = limits::kLongestUs / limits::kPartPatience / 2;
    std::int64_t all_us = 0;
    for (const PartsUnderWay::AtStage& stage : parts.stages) {
        all_us = std::min(all_us + std::min(stage.total_us + stage.link_us, kMost), kMost);
    }
    return 2 * (patience_.node_lost_after_us + patience_.reconnect_within_us +
                limits::kNeighbourGraceUs) +
           limits::kPartPatience * all_us;
}

/// Returns what each stage says: "9/9, 8/7, ?/?".
std::string PartWatch::counts() const {
    std::string text;
    for (const auto& stage : stages_) {
        if (!text.empty()) text += ", ";
        text += stage ? fmt::format("{}/{}", stage->received, stage->sent) : "?/?";
    }
    return text;
}

}  // namespace molink
