#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>

#include <molink/types.h>

namespace molink {

/// What penalties need to know of a sequence, from its tokens alone: which of them it holds, and
/// how often the output does. Rebuilt by anyone who knows the tokens. Not thread-safe.
class TokenHistory {
public:
    /// Takes in tokens[size() .. end); those from `prompt_count` on are output. `tokens` are all of
    /// the sequence's, end <= tokens.size().
    void advance(std::span<const Token> tokens, std::size_t end, std::size_t prompt_count);

    std::size_t size() const { return size_; }
    /// Token -> times the output holds it (0: only the prompt does).
    const std::unordered_map<Token, std::int32_t>& counts() const { return counts_; }

private:
    std::unordered_map<Token, std::int32_t> counts_;
    std::size_t size_ = 0;
};

}  // namespace molink
