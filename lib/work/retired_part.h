#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include <molink/request.h>
#include <molink/types.h>

#include "work/part.h"

namespace molink {

/// Tokens that were sampled for one sequence.
struct SampledRows {
    SequenceId sequence;
    std::int32_t position = 0;  ///< position of the first token
    /// In order of position. Decode rows with d drafts give 1 to d + 1 tokens; all except the last
    /// equal drafts. A slice of a prompt gives one token if it ends the prompt.
    std::vector<Token> tokens;
    std::vector<TokenLogprobs> logprobs;      ///< [tokens] if requested
    std::vector<std::uint64_t> logit_hashes;  ///< of the rows that were kept, if requested
    friend bool operator==(const SampledRows&, const SampledRows&) = default;
};

/// The record for the head of a part that is done on every stage.
struct RetiredPart {
    PartKey key;
    PartKind kind = PartKind::decode;
    std::vector<SampledRows> sampled;    ///< sequences with tokens or hashes, in order
    std::vector<StageTime> stage_times;  ///< of all stages
    /// Sequences that end at a row without a usable result. `sampled` has their tokens before it.
    std::vector<RowFault> faults{};
    friend bool operator==(const RetiredPart&, const RetiredPart&) = default;
};

/// Accepted tokens of one sequence.
struct AcceptedTokens {
    SequenceId sequence;
    std::int32_t position = 0;  ///< position of the first token
    std::vector<Token> tokens;  ///< at least one
    friend bool operator==(const AcceptedTokens&, const AcceptedTokens&) = default;
};

/// Accepted tokens of a decode part, for the first stage of a ring that feeds tokens back.
struct TokenFeedback {
    PartKey key;
    std::vector<AcceptedTokens> accepted;
    friend bool operator==(const TokenFeedback&, const TokenFeedback&) = default;
};

/// Returns the tokens of a retired part, for the first stage. A sequence that ends at a fault gets
/// token 0 where it has none: the part that waits for it has rows of other sequences too, and the
/// head drops what comes of it.
TokenFeedback feedback_of(const RetiredPart& retired);

/// Output of a stage.
using StageOutput = std::variant<ForwardedPart, ReturnedPart, RetiredPart>;

const PartKey& key_of(const StageOutput& output);
const std::vector<RowFault>& faults_of(const StageOutput& output);

}  // namespace molink
