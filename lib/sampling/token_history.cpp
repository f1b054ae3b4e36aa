// Token counts of one sequence. Kept as a map because a sequence holds few of the vocabulary's
// tokens, and grown position by position so that every token is counted once however a prompt was
// sliced.
#include "sampling/token_history.h"

namespace molink {

void TokenHistory::advance(std::span<const Token> tokens, std::size_t end,
                           std::size_t prompt_count) {
    for (; size_ < end; ++size_) counts_[tokens[size_]] += size_ >= prompt_count ? 1 : 0;
}

}  // namespace molink
