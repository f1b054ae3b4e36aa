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

/// Holds decode parts on the first stage until the last stage has sent the tokens that they lack,
/// so that tokens need not travel through the head. It keeps the newest accepted token of each open
/// sequence. A sequence waits in at most two parts, because the head may receive a token before the
/// first stage does, and then launches the next row.
/// Thread: the node's loop.
class FeedbackGate {
public:
    /// Clears all state for a new epoch.
    void reset() { *this = FeedbackGate(); }
    /// Fills in the known tokens. Returns true if the part is complete and may run. Otherwise the
    /// gate takes the part and holds it. Every part of the stage must pass the gate, because it
    /// tracks opens and releases. Errors: data_loss when a sequence that lacks a token is not open,
    /// already waits in two parts, or already waits for the same position.
    Result<bool> pass(PartPlan& plan);
    /// Stores accepted tokens. Returns the parts that have become complete, in order of arrival.
    std::vector<PartPlan> deliver(const TokenFeedback& feedback);
    /// Number of waiting parts.
    std::size_t waiting() const { return waiting_.size(); }
    /// Number of open sequences.
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

    /// By open sequence. Not set before the first token, and after the token was used.
    std::unordered_map<SequenceId, std::optional<Newest>> open_;
    /// Maps sequence and position to the key of waiting_.
    std::map<std::pair<SequenceId, std::int32_t>, std::uint64_t> waiting_of_;
    std::unordered_map<std::uint64_t, Waiting> waiting_;
    std::uint64_t next_key_ = 0;
};

}  // namespace molink
