#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "wire/messages.h"

namespace molink {

/// Parts that wait at a stage. What is_urgent() overtakes prefill, but after a few in a row a
/// prefill part that waits gets its turn, so that a bottleneck stage with decode always at the door
/// still prefills. Thread: the owner's.
class PartQueue {
public:
    struct Waiting {
        Part part;
        std::int64_t arrival_us = 0;  ///< the node's clock
    };

    void push(Part part, std::int64_t arrival_us);
    /// The part whose turn it is; nothing when none waits.
    std::optional<Waiting> take();
    bool empty() const { return urgent_.empty() && prefill_.empty(); }
    /// Another epoch: nothing waits, nothing has had its turn.
    void clear() { *this = PartQueue(); }

private:
    std::deque<Waiting> urgent_;
    std::deque<Waiting> prefill_;
    int urgent_in_a_row_ = 0;
};

}  // namespace molink
