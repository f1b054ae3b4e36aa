#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "work/part.h"

namespace molink {

/// Parts that wait at a stage. Urgent parts (is_urgent()) overtake prefill parts. After
/// limits::kDecodesBeforePrefill urgent parts in a row the oldest prefill part has its turn, so
/// that a stage with a steady supply of decode parts still prefills. Thread: the owner's.
class PartQueue {
public:
    struct Waiting {
        StageInput input;
        std::int64_t arrival_us = 0;  ///< the node's clock
    };

    void push(StageInput input, std::int64_t arrival_us);
    /// Removes and returns the part whose turn it is, or nothing when none waits.
    std::optional<Waiting> pop();
    bool empty() const { return urgent_.empty() && prefill_.empty(); }
    /// Drops all parts, for another epoch.
    void clear() { *this = PartQueue(); }

private:
    std::deque<Waiting> urgent_;
    std::deque<Waiting> prefill_;
    int urgent_in_a_row_ = 0;
};

}  // namespace molink
