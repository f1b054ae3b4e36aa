#pragma once

#include <vector>

#include <molink/types.h>

namespace molink {

/// One element of a template: a special token, or the place of the text itself.
struct TemplatePiece {
    bool is_text = false;
    Token token = 0;
};

/// Puts special tokens around the tokens of one text. Immutable after the last add(), then
/// thread-safe.
class PostProcessor {
public:
    /// Templates apply in the order of adding, each to the result of the one before.
    void add(std::vector<TemplatePiece> pieces) { templates_.push_back(std::move(pieces)); }

    /// `tokens` as the templates have it; special tokens only when `add_special_tokens`.
    std::vector<Token> apply(std::vector<Token> tokens, bool add_special_tokens) const;

private:
    std::vector<std::vector<TemplatePiece>> templates_;
};

}  // namespace molink
