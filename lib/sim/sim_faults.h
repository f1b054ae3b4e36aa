#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <molink/sim.h>

namespace molink::sim {

/// Says which nodes may be lost because of the injected faults, and when. A fault that is shorter
/// than the time-outs explains no loss.
class FaultLog {
public:
    /// `scenario` must outlive the log.
    explicit FaultLog(const SimScenario& scenario);

    /// Returns whether a fault explains at `now_us` that the node named in `text` was lost. A text
    /// that names no node, or that reports anything but a lost node, is never explained.
    bool explains(const std::string& text, std::int64_t now_us) const;

private:
    struct Reason {
        std::string node;
        std::int64_t from_us = 0;
        std::int64_t until_us = 0;
    };

    bool severe(const SimFault& fault) const;
    bool overlapped(const SimFault& fault) const;

    const SimScenario& scenario_;
    std::vector<Reason> reasons_;
};

}  // namespace molink::sim
