// Templates for one text ("<s> $A </s>"). What special tokens stand for is resolved to ids by the
// loader, so that nothing can fail here. A template may name the text more than once or not at all;
// then that is what the file says.
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
