#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <molink/sim.h>

namespace molink::sim {

/// What went wrong and what it may lead to: which nodes may be given up, and when. A fault that the
/// time-outs must wait out explains nothing.
class FaultLog {
public:
    explicit FaultLog(const SimScenario& scenario);

    /// Whether losing the node that `text` names is explained at `now_us`. A text that names no
    /// node is never explained, nor is one that tells of anything but silence.
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
