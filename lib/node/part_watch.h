#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/parts_under_way.h"
#include "wire/messages.h"

namespace molink {

/// Notices a pipeline that stands still although every node sends heartbeats. Two deadlines: no
/// stage may hold a part for longer than all parts under way should take on it, many times over;
/// and no part may be under way for longer than all of them should take on the whole way, many
/// times over. Both have the time on top after which a silent node is lost. Thread: the head's
/// loop.
class PartWatch {
public:
    struct Patience {
        std::int64_t node_lost_after_us = 0;
        std::int64_t reconnect_within_us = 0;
    };
    struct Overdue {
        /// Place in the ring of the stage to blame; none when a part is gone and nobody has it.
        std::optional<std::size_t> stage;
        std::string reason;
    };

    explicit PartWatch(Patience patience) : patience_(patience) {}

    /// An epoch with so many stages serves.
    void begin(std::size_t stages) { stages_.assign(stages, std::nullopt); }
    /// Keeps what a stage of this epoch says. `activity.stage_index` is one of its stages.
    void note(const StageActivity& activity) { stages_[activity.stage_index] = activity; }
    /// Returns what is overdue. `parts` has the stages of the epoch.
    std::optional<Overdue> check(const PartsUnderWay& parts, std::int64_t now_us) const;

private:
    std::optional<Overdue> stuck_stage(const PartsUnderWay& parts, std::int64_t now_us) const;
    std::int64_t part_limit_us(const PartsUnderWay& parts) const;
    std::string counts() const;

    Patience patience_;
    std::vector<std::optional<StageActivity>> stages_;  // none: it has said nothing yet
};

}  // namespace molink
