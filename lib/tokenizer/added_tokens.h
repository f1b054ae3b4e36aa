#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <molink/types.h>

namespace molink {

/// A token that is found in the text as it stands, before any cutting into words.
struct AddedToken {
    Token id = 0;
    std::string content;       ///< UTF-8, not empty
    bool special = false;      ///< a control token: left out of decoded text on request
    bool single_word = false;  ///< only where no word character touches it
    bool lstrip = false;       ///< takes the white space before it along
    bool rstrip = false;       ///< takes the white space after it along
    bool normalized = false;   ///< looked for in the normalised text, not in the original
};

/// Finds a set of added tokens in text. Immutable after the last add(), then thread-safe.
class AddedTokenFinder {
public:
    /// A piece of the text: a token, or (token < 0) text between tokens, never empty.
    struct Piece {
        Token token = -1;
        std::string_view text;
    };

    /// `pattern` is what to look for: the content, normalised where the token asks for it. An empty
    /// one is never found; of two equal ones the first counts.
    void add(const AddedToken& token, std::string_view pattern);

    /// Appends the pieces of `text` (well-formed UTF-8) in order, pointing into it. Leftmost match
    /// first, the longest of those that begin there. Time: length of text times longest pattern.
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
