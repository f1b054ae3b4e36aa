#pragma once

#include <string>
#include <string_view>

#include <molink/types.h>

namespace molink {

class Tokenizer;

/// Turns bytes that arrive in arbitrary portions into text of complete code points. Bytes that are
/// not UTF-8 become U+FFFD, one for each maximal wrong sequence. All pieces together are the same
/// as the result of one pass over all bytes. Not thread-safe.
class Utf8Stream {
public:
    /// Adds bytes and returns the text that is now complete.
    std::string push(std::string_view bytes);
    /// Ends the stream. Returns U+FFFD if a code point is incomplete, otherwise an empty text. A
    /// new stream may follow.
    std::string flush();

private:
    std::string pending_;  // at most 3 bytes of an incomplete code point
};

/// Converts the tokens of one sequence to text. Not thread-safe; use one per sequence.
class Detokenizer {
public:
    /// `tokenizer` must outlive this object. With `skip_special`, special tokens give no text.
    Detokenizer(const Tokenizer& tokenizer, bool skip_special)
        : tokenizer_(&tokenizer), skip_special_(skip_special) {}

    /// Returns the text that `token` completes, in complete code points. It is empty while a
    /// character is incomplete, and for a token outside the vocabulary.
    std::string push(Token token);
    /// Ends the sequence. Returns U+FFFD if an incomplete character is left. Another sequence may
    /// follow.
    std::string flush() { return stream_.flush(); }

private:
    const Tokenizer* tokenizer_;
    bool skip_special_;
    Utf8Stream stream_;
};

}  // namespace molink
