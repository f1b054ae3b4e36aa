#pragma once

#include <cstdint>
#include <vector>

#include <molink/request.h>
#include <molink/types.h>

namespace molink {

/// Full description of a sequence. It travels once, with the sequence's first part.
struct SequenceOpen {
    SequenceId id;
    /// Every known token; after a preemption this includes the tokens generated so far.
    std::vector<Token> prompt;
    std::int32_t prompt_count = 0;  ///< leading tokens of `prompt` that the caller gave
    SamplingParams sampling;        ///< its seed is always set
    std::int32_t min_tokens = 0;    ///< minimum output before stop_tokens may be sampled
    std::vector<Token> stop_tokens;
    std::int32_t logprobs = -1;  ///< see GenerateRequest::logprobs
    bool hash_logits = false;    ///< the LM head runs on every row, and each row is hashed
    friend bool operator==(const SequenceOpen&, const SequenceOpen&) = default;
};

}  // namespace molink
