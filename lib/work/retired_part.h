#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include <molink/request.h>
#include <molink/types.h>

#include "work/part.h"

namespace molink {

/// What the LM head chose for the rows of one sequence.
struct SampledRows {
    SequenceId sequence;
    std::int32_t position = 0;  ///< of the first token
    /// In order of position. A decode run of d drafts gives 1 to d + 1 tokens: all but the last
    /// equal its drafts. A slice of a prompt gives one when it ends the prompt.
    std::vector<Token> tokens;
    std::vector<TokenLogprobs> logprobs;      ///< [tokens] when asked for
    std::vector<std::uint64_t> logit_hashes;  ///< of the rows that count, when asked for
    friend bool operator==(const SampledRows&, const SampledRows&) = default;
};

/// A part that is done on every stage: the record for the head.
struct RetiredPart {
    PartKey key;
    PartKind kind = PartKind::decode;
    std::vector<SampledRows> sampled;    ///< sequences with tokens or hashes, in order
    std::vector<StageTime> stage_times;  ///< of all stages
    friend bool operator==(const RetiredPart&, const RetiredPart&) = default;
};

/// Tokens that were accepted for one sequence.
struct AcceptedTokens {
    SequenceId sequence;
    std::int32_t position = 0;  ///< of the first token
    std::vector<Token> tokens;  ///< at least one
    friend bool operator==(const AcceptedTokens&, const AcceptedTokens&) = default;
};

/// What a decode part gave, for the first stage of a ring that feeds back.
struct TokenFeedback {
    PartKey key;
    std::vector<AcceptedTokens> accepted;
    friend bool operator==(const TokenFeedback&, const TokenFeedback&) = default;
};

/// The tokens of a retired part, for the first stage.
TokenFeedback feedback_of(const RetiredPart& retired);

/// What a stage has made of its input.
using StageOutput = std::variant<ForwardedPart, ReturnedPart, RetiredPart>;

const PartKey& key_of(const StageOutput& output);

}  // namespace molink
