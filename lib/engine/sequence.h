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
/// -> finished; a preempted one waits again. A finished one stays until every part that names it is
/// retired. A plain record: each group of fields has one class that changes it.
struct Sequence {
    // RequestTable
    std::shared_ptr<const AdmittedRequest> request;
    std::int32_t index = 0;     // of the completion
    std::vector<Token> tokens;  // prompt and output
    std::int32_t output_count = 0;
    std::int32_t text_characters = 0;  // of the text so far, with what stop strings hold back
    std::int32_t cached_tokens = 0;    // of the prompt, found at the first admission
    std::int64_t first_token_us = 0;
    std::unique_ptr<Detokenizer> detokenizer;  // null without a tokenizer
    std::unique_ptr<StopMatcher> stops;        // null without stop strings
    std::vector<std::uint64_t> logit_hashes;   // [positions], 0: not computed

    // SequenceQueues: what policies see. The id stays the same for life.
    SequenceView view;

    // KvLedger
    std::vector<BlockId> blocks;
    std::int32_t reserved_blocks = 0;  // promised and not yet allocated
    std::int32_t published = 0;        // blocks, from the first, that the prefix cache knows
    PrefixIndex::Key prefix_key = PrefixIndex::kRoot;  // of the last of them

    // EngineCore
    SequenceId wire_id;        // the id that stages know; new after every preemption
    bool opened = false;       // its full description went out under wire_id
    bool admitted = false;     // at least once
    std::int32_t retired = 0;  // positions that every stage has computed
    PartId ahead;              // launched before its token was known; 0: none
};

}  // namespace molink
