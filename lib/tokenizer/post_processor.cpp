// Templates for one text ("<s> $A </s>").
// The loader has resolved special tokens to ids, so nothing can fail here.
// A template may contain the text several times or not at all, if the file says so.
#include "tokenizer/post_processor.h"

namespace molink {

std::vector<Token> PostProcessor::apply(std::vector<Token> tokens, bool add_special_tokens) const {
    for (const auto& pieces : templates_) {
        std::vector<Token> out;
        out.reserve(tokens.size() + pieces.size());
        for (const TemplatePiece& piece : pieces) {
            if (piece.is_text) {
                out.insert(out.end(), tokens.begin(), tokens.end());
            } else if (add_special_tokens) {
                out.push_back(piece.token);
            }
        }
        tokens = std::move(out);
    }
    return tokens;
}

}  // namespace molink
