#pragma once

#include <string>
#include <string_view>

#include <molink/types.h>

namespace molink {

class Tokenizer;

/// Turns bytes that arrive in arbitrary portions into text, never half a code point. Bytes that
/// cannot be UTF-8 become U+FFFD, one for each maximal wrong sequence, so all pieces together are
/// what one pass over all bytes would give. Not thread-safe.
class Utf8Stream {
public:
    /// The text that became complete.
    std::string push(std::string_view bytes);
    /// The end: one U+FFFD if a code point is incomplete, else nothing. Ready for a new stream.
    std::string flush();

private:
    std::string pending_;  // at most 3 bytes of an incomplete code point
};

/// The text of one sequence, token by token. Not thread-safe; one per sequence.
class Detokenizer {
public:
    /// `tokenizer` must outlive this. `skip_special`: special tokens yield no text.
    Detokenizer(const Tokenizer& tokenizer, bool skip_special)
        : tokenizer_(&tokenizer), skip_special_(skip_special) {}

    /// The text that `token` completes; empty while a character is incomplete, and for a token that
    /// the vocabulary does not know. Always whole code points.
    std::string push(Token token);
    /// Ends the sequence: U+FFFD when bytes of an incomplete character are left. Ready for another.
    std::string flush() { return stream_.flush(); }

private:
    const Tokenizer* tokenizer_;
    bool skip_special_;
    Utf8Stream stream_;
};

}  // namespace molink
