#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace molink {

/// What the engine expects of the parts under way. Times are predictions from profiles and from
/// what stages have measured, us.
struct PartsUnderWay {
    struct AtStage {
        std::int64_t total_us = 0;  ///< of all of them, one after the other
        std::int64_t link_us = 0;   ///< of all of them on the link behind the stage
    };
    std::vector<AtStage> stages;
    /// When the oldest part was launched; none without a part.
    std::optional<std::int64_t> oldest_us;
    /// The same of parts whose tokens are known, so that stages can compute them.
    std::optional<std::int64_t> oldest_known_us;
    std::uint64_t launched = 0;  ///< parts of this epoch so far
};

}  // namespace molink
