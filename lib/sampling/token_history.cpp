// Token counts of one sequence.
// They are in a map, because a sequence has few of the vocabulary's tokens.
// They grow by position, so that every token is counted once for any slicing of the prompt.
#include "sampling/token_history.h"

namespace molink {

void TokenHistory::advance(std::span<const Token> tokens, std::size_t end,
                           std::size_t prompt_count) {
    for (; size_ < end; ++size_) counts_[tokens[size_]] += size_ >= prompt_count ? 1 : 0;
}

}  // namespace molink
