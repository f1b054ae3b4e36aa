#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>

#include <molink/types.h>

namespace molink {

/// Token counts of a sequence for penalties: which tokens occur, and how often each occurs in the
/// output. They follow from the tokens alone, so any node that knows the tokens can rebuild them.
/// Not thread-safe.
class TokenHistory {
public:
    /// Counts tokens[size() .. end). Tokens from `prompt_count` on are output. `tokens` has all
    /// tokens of the sequence, and end <= tokens.size().
    void advance(std::span<const Token> tokens, std::size_t end, std::size_t prompt_count);

    std::size_t size() const { return size_; }
    /// Maps a token to the number of times it occurs in the output (0: only in the prompt).
    const std::unordered_map<Token, std::int32_t>& counts() const { return counts_; }

private:
    std::unordered_map<Token, std::int32_t> counts_;
    std::size_t size_ = 0;
};

}  // namespace molink
