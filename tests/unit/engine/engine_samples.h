#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/sequence.h"

namespace molink::test {

/// Returns the `count` tokens from `first` on.
inline std::vector<Token> counted(std::int32_t count, Token first = 0) {
    std::vector<Token> tokens;
    for (std::int32_t i = 0; i < count; ++i) tokens.push_back(first + i);
    return tokens;
}

inline AdmittedRequest admitted(std::uint64_t id, std::int32_t prompt, std::int32_t output) {
    AdmittedRequest request;
    request.id = RequestId(id);
    request.prompt = counted(prompt);
    request.max_tokens = output;
    return request;
}

/// Returns a waiting sequence as RequestTable makes it.
inline Sequence waiting(std::uint64_t id, std::int32_t prompt, std::int32_t output) {
    Sequence sequence;
    sequence.request = std::make_shared<const AdmittedRequest>(admitted(id, prompt, output));
    sequence.tokens = sequence.request->prompt;
    sequence.view.id = SequenceId(id);
    sequence.view.prompt_tokens = prompt;
    sequence.view.max_tokens = prompt + output;
    return sequence;
}

}  // namespace molink::test
