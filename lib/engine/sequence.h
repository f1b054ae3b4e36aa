#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <molink/request.h>
#include <molink/scheduler.h>
#include <molink/types.h>

#include "engine/stop_matcher.h"
#include "kv/prefix_index.h"
#include "tokenizer/detokenizer.h"

namespace molink {

/// A request that passed validation: what EngineCore::submit takes.
struct AdmittedRequest {
    RequestId id;
    std::vector<Token> prompt;    ///< at least one token
    std::int32_t max_tokens = 0;  ///< at least one
    std::int32_t min_tokens = 0;
    std::int32_t n = 1;
    bool ignore_eos = false;
    std::vector<Token> stop_tokens;
    std::vector<std::string> stop;
    std::int32_t logprobs = -1;
    SamplingParams sampling;  ///< its seed is set
    bool hash_logits = false;
    std::int64_t submitted_us = 0;
};

/// One completion of a request through its life: waiting -> prefilling -> in flight <-> decodable
/// -> finished; preempted ones wait again. Finished ones stay until every part that names them is
/// retired.
struct Sequence {
    SequenceView view;  // what policies see; view.id stays the same for life
    std::shared_ptr<const AdmittedRequest> request;
    std::int32_t index = 0;     // of the completion
    SequenceId wire_id;         // what stages know it as; new after every preemption
    bool opened = false;        // its full description went out under wire_id
    std::vector<Token> tokens;  // prompt and output
    std::vector<BlockId> blocks;
    std::int32_t reserved_left = 0;  // blocks reserved and not yet taken
    std::int32_t retired = 0;        // positions that every stage has computed
    PartId ahead;                    // launched before its token was known; 0: none
    std::int32_t published = 0;      // blocks, from the first, that the prefix cache knows
    PrefixIndex::Key prefix_key = PrefixIndex::kRoot;  // of the last of them
    std::int32_t cached_tokens = 0;  // of the prompt, found at the first admission
    bool admitted_once = false;
    std::int32_t output_count = 0;
    std::int64_t first_token_us = 0;
    std::unique_ptr<Detokenizer> detokenizer;  // null without a tokenizer
    std::unique_ptr<StopMatcher> stops;        // null without stop strings
    std::vector<std::uint64_t> logit_hashes;   // [positions], 0: not computed
};

}  // namespace molink
