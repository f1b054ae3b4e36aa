#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <molink/types.h>

namespace molink {

/// A token that is searched in the text before it is split into words.
struct AddedToken {
    Token id = 0;
    std::string content;       ///< UTF-8, not empty
    bool special = false;      ///< a control token; decoding can skip it
    bool single_word = false;  ///< matches only without an adjacent word character
    bool lstrip = false;       ///< includes the white space before it
    bool rstrip = false;       ///< includes the white space after it
    bool normalized = false;   ///< searched in the normalised text, not in the original
};

/// Finds a set of added tokens in text. Immutable after the last add(), and then thread-safe.
class AddedTokenFinder {
public:
    /// A piece of the text that is not empty: a token, or text between tokens (token < 0).
    struct Piece {
        Token token = -1;
        std::string_view text;
    };

    /// Adds a token. `pattern` is the text to search: the content, which is normalised if the token
    /// requires it. An empty pattern is never found. Of two equal patterns the first one counts.
    void add(const AddedToken& token, std::string_view pattern);

    /// Appends the pieces of `text` (well-formed UTF-8) in order. They point into `text`. The
    /// leftmost match wins, and among matches at one place the longest. The time is the length of
    /// the text times that of the longest pattern.
    void split(std::string_view text, std::vector<Piece>& pieces) const;

private:
    struct Node {
        std::vector<std::pair<unsigned char, std::uint32_t>> children;  // sorted by byte
        std::int32_t token = -1;                                        // index in tokens_
    };
    struct Flags {
        Token id;
        bool single_word;
        bool lstrip;
        bool rstrip;
    };
    struct Found {
        std::int32_t token = -1;
        std::size_t end = 0;
    };

    Found longest_at(std::string_view text, std::size_t begin) const;
    std::int64_t child(std::uint32_t node, unsigned char byte) const;

    std::vector<Node> nodes_ = std::vector<Node>(1);
    std::vector<Flags> tokens_;
};

}  // namespace molink
