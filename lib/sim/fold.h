#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <molink/request.h>
#include <molink/types.h>

#include "stage/fold_model.h"
#include "tokenizer/tokenizer.h"

// The oracle of the fold model (stage/fold_model.h).
namespace molink::sim {

/// A byte-level tokenizer of kFoldVocabulary tokens; some are halves of a character.
const Tokenizer& fold_tokenizer();

/// The model that the stages together hold.
struct FoldLayers {
    std::int32_t count = 0;
    double overflows = 0;  ///< FoldShape::overflows
};

/// The first row of a completion that is not a number.
struct ExpectedFault {
    std::int32_t position = 0;
    std::int32_t layer = 0;
};

/// What one completion must return when nothing goes wrong.
struct Expected {
    std::vector<Token> tokens;
    std::string text;
    FinishReason reason = FinishReason::none;
    std::optional<ExpectedFault> fault;       ///< with FinishReason::error
    std::vector<std::uint64_t> logit_hashes;  ///< [positions]; empty unless asked for
};

/// Computes this without a pipeline, blocks or parts. `request` has prompt_tokens. `index`: number
/// of the completion in the request, from 0.
Expected expect(const GenerateRequest& request, std::int32_t index, const FoldLayers& layers);

}  // namespace molink::sim
