#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <molink/request.h>
#include <molink/scheduler.h>
#include <molink/types.h>

#include "tokenizer/detokenizer.h"

namespace molink {

/// A request that passed validation: what EngineCore::submit takes.
struct AdmittedRequest {
    RequestId id;
    std::vector<Token> prompt;    ///< at least one token
    std::int32_t max_tokens = 0;  ///< at least one
    bool ignore_eos = false;
    float temperature = 0;
    std::uint64_t seed = 0;
    bool hash_logits = false;
    std::int64_t submitted_us = 0;
};

/// One sequence of a request through its life: waiting -> prefilling -> decoding -> finished.
/// Finished ones stay until every part that names them is retired.
struct Sequence {
    enum class Phase : std::uint8_t { waiting, prefilling, decoding, finished };

    SequenceView view;  // what policies see; view.id is the sequence id
    AdmittedRequest request;
    Phase phase = Phase::waiting;
    bool opened = false;        // its full description went out
    std::vector<Token> tokens;  // prompt and output
    std::vector<BlockId> blocks;
    std::int32_t reserved_left = 0;  // blocks reserved and not yet taken
    std::int32_t output_count = 0;
    std::int64_t first_token_us = 0;
    std::unique_ptr<Detokenizer> detokenizer;  // null without a tokenizer
    std::vector<std::uint64_t> logit_hashes;   // [positions]
};

}  // namespace molink
