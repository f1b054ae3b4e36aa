#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "work/part.h"

namespace molink {

/// Parts that wait at a stage. Urgent ones (is_urgent) overtake prefill, but after a few in a row
/// the oldest prefill part gets its turn, so that a stage that always has decode parts waiting
/// still prefills. Thread: the owner's.
class PartQueue {
public:
    struct Waiting {
        StageInput input;
        std::int64_t arrival_us = 0;  ///< the node's clock
    };

    void push(StageInput input, std::int64_t arrival_us);
    /// Removes the part whose turn it is; nothing when none waits.
    std::optional<Waiting> pop();
    bool empty() const { return urgent_.empty() && prefill_.empty(); }
    /// Begins anew, for another epoch.
    void clear() { *this = PartQueue(); }

private:
    std::deque<Waiting> urgent_;
    std::deque<Waiting> prefill_;
    int urgent_in_a_row_ = 0;
};

}  // namespace molink
