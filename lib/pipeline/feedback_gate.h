#pragma once

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include <molink/status.h>

#include "wire/messages.h"

namespace molink {

/// Holds decode parts on the first stage until the last one has told the tokens that they lack, so
/// that a head somewhere else is off the way of a token. One token per sequence is remembered. A
/// sequence waits in two parts at most: the head may hear of a token before the first stage does,
/// and sends the row behind it then. Thread: the node's loop.
class FeedbackGate {
public:
    /// Another epoch: nothing waits, nothing is known.
    void reset() { *this = FeedbackGate(); }
    /// Fills in what is known. True: the part is complete and may run; otherwise it was taken and
    /// waits. Errors: data_loss when one of its sequences waits in two parts already.
    Result<bool> pass(Part& part);
    /// Remembers tokens; gives the parts that are complete now, in the order they came.
    /// Errors: data_loss for more tokens per sequence than are fed back.
    Result<std::vector<Part>> take(const Retire& tokens);
    std::size_t waiting() const { return waiting_.size(); }

private:
    struct Known {
        std::int32_t position = 0;
        Token token = 0;
    };
    struct Waiting {
        Part part;
        std::size_t missing = 0;
    };
    /// Puts the token of `run` in if it is known.
    bool fill(SequenceRun& run);

    static constexpr std::ptrdiff_t kMostWaiting = 2;
    std::unordered_map<SequenceId, Known> known_;  // sampled, not asked for yet
    /// By sequence and position: key of waiting_.
    std::map<std::pair<SequenceId, std::int32_t>, std::uint64_t> waiting_of_;
    std::unordered_map<std::uint64_t, Waiting> waiting_;
    std::uint64_t next_ = 0;
};

}  // namespace molink
