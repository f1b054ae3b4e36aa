// Text of tokens as they are sampled. A token of a byte-level vocabulary may end inside a
// character, so up to three bytes wait for the next token. All pieces together equal the text of
// decoding all tokens at once, because Tokenizer::decode() uses the same stream.
#include "tokenizer/detokenizer.h"

#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace molink {

std::string Utf8Stream::push(std::string_view bytes) {
    std::string joined;
    if (!pending_.empty()) {
        joined = std::move(pending_);
        joined += bytes;
        bytes = joined;
        pending_.clear();
    }
    std::string out;
    out.reserve(bytes.size());
    for (std::size_t offset = 0; offset < bytes.size();) {
        const Utf8Step step = utf8_step(bytes, offset);
        const std::string_view here = bytes.substr(offset, step.length);
        switch (step.kind) {
            case Utf8Step::Kind::valid: out += here; break;
            case Utf8Step::Kind::invalid: out += kReplacementCharacter; break;
            case Utf8Step::Kind::incomplete: pending_ = here; break;
        }
        offset += step.length;
    }
    return out;
}

std::string Utf8Stream::flush() {
    if (pending_.empty()) return std::string();
    pending_.clear();
    return std::string(kReplacementCharacter);
}

std::string Detokenizer::push(Token token) {
    if (skip_special_ && tokenizer_->is_special(token)) return std::string();
    return stream_.push(tokenizer_->token_bytes(token));
}

}  // namespace molink
