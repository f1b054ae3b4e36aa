#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <molink/status.h>

#include "work/part.h"
#include "work/retired_part.h"

namespace molink {

/// Holds decode parts on the first stage until the last one has told the tokens that they lack, so
/// that a token does not have to travel over the head. From its open to its release it remembers
/// the newest accepted token of each sequence. A sequence waits in two parts at most: the head may
/// learn a token before the first stage does, and then launches the row behind it.
/// Thread: the node's loop.
class FeedbackGate {
public:
    /// Begins anew, for another epoch.
    void reset() { *this = FeedbackGate(); }
    /// Fills in the tokens that are known. True: the part is complete and may run. False: the gate
    /// has taken the part and holds it. Every part of the stage has to pass, because the gate
    /// follows opens and releases. Errors: data_loss when a sequence that lacks a token is not
    /// open, waits in two parts already, or waits for the same position already.
    Result<bool> pass(PartPlan& plan);
    /// Remembers accepted tokens. Returns the parts that are complete now, in order of arrival.
    std::vector<PartPlan> deliver(const TokenFeedback& feedback);
    /// Parts that wait.
    std::size_t waiting() const { return waiting_.size(); }
    /// Sequences that are open.
    std::size_t open() const { return open_.size(); }

private:
    /// The newest accepted token of a sequence.
    struct Newest {
        std::int32_t position = 0;
        Token token = 0;
    };
    struct Waiting {
        PartPlan plan;
        std::size_t missing = 0;  // tokens
    };
    bool fill(DecodeRows& rows);
    Status hold(const DecodeRows& rows, PartId part, std::uint64_t key);

    /// Nothing is kept of a sequence before its first token, and after its token was used.
    std::unordered_map<SequenceId, std::optional<Newest>> open_;
    /// By sequence and position: key of waiting_.
    std::map<std::pair<SequenceId, std::int32_t>, std::uint64_t> waiting_of_;
    std::unordered_map<std::uint64_t, Waiting> waiting_;
    std::uint64_t next_key_ = 0;
};

}  // namespace molink
