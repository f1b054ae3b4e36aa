#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <molink/status.h>

#include "wire/messages.h"

namespace molink {

/// Of the record of a decode part what the first stage is told.
Retire fed_back(const Retire& retire);

/// Holds decode parts on the first stage until the last one has told the tokens that they lack, so
/// that a head somewhere else is off the way of a token. One token per sequence is remembered, from
/// its open to its release. A sequence waits in two parts at most: the head may hear of a token
/// before the first stage does, and sends the row behind it then. Thread: the node's loop.
class FeedbackGate {
public:
    /// Another epoch: nothing waits, nothing is known.
    void reset() { *this = FeedbackGate(); }
    /// Fills in what is known. True: the part is complete and may run; otherwise it was taken and
    /// waits. Every part of the stage has to come by, those that lack nothing for what they open
    /// and release. Errors: data_loss when a sequence that lacks a token is not open, waits in two
    /// parts already, or twice for the same token.
    Result<bool> pass(Part& part);
    /// Remembers tokens; gives the parts that are complete now, in the order they came.
    /// Errors: data_loss for more tokens per sequence than are fed back.
    Result<std::vector<Part>> take(const Retire& tokens);
    std::size_t waiting() const { return waiting_.size(); }
    /// Sequences that are open.
    std::size_t open() const { return open_.size(); }

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
    Status hold(const SequenceRun& run, PartId part, std::uint64_t key);

    static constexpr std::ptrdiff_t kMostWaiting = 2;
    /// With what was sampled and not asked for yet.
    std::unordered_map<SequenceId, std::optional<Known>> open_;
    /// By sequence and position: key of waiting_.
    std::map<std::pair<SequenceId, std::int32_t>, std::uint64_t> waiting_of_;
    std::unordered_map<std::uint64_t, Waiting> waiting_;
    std::uint64_t next_ = 0;
};

}  // namespace molink
