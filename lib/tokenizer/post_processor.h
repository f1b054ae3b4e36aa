#pragma once

#include <vector>

#include <molink/types.h>

namespace molink {

/// One element of a template: a special token or the text itself.
struct TemplatePiece {
    bool is_text = false;
    Token token = 0;
};

/// Puts special tokens around the tokens of one text. Immutable after the last add(), and then
/// thread-safe.
class PostProcessor {
public:
    /// Adds a template. Templates apply in the order of addition, each to the result of the one
    /// before.
    void add(std::vector<TemplatePiece> pieces) { templates_.push_back(std::move(pieces)); }

    /// Applies the templates to `tokens`. Special tokens are added only with `add_special_tokens`.
    std::vector<Token> apply(std::vector<Token> tokens, bool add_special_tokens) const;

private:
    std::vector<std::vector<TemplatePiece>> templates_;
};

}  // namespace molink
