#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// Two neighbouring tokens that become one. Merges that are earlier in the list are done first.
struct BpeMerge {
    Token left = 0;
    Token right = 0;
    Token merged = 0;
};

/// The data of a byte-level BPE model.
struct BpeModel {
    std::array<Token, 256>
        byte_tokens{};             ///< token of each single byte; -1: the vocabulary lacks it
    std::vector<BpeMerge> merges;  ///< by rank; of two equal pairs the later one counts
    /// Words that are one token without merging, if the file sets `ignore_merges`; otherwise empty.
    std::unordered_map<std::string, Token> whole_words;
    std::optional<Token> unknown;  ///< replaces a byte without a token
    bool fuse_unknown = false;     ///< a run of such bytes becomes a single `unknown`
};

/// Byte pair encoding of one word (Sennrich, Haddow and Birch, arXiv 1508.07909) in O(n log n).
/// Immutable and therefore thread-safe. All state of a call is in the caller's Workspace.
class Bpe {
public:
    /// Memory that is reused for each word. One per thread. It keeps no state between calls.
    class Workspace {
        friend class Bpe;
        struct Symbol {
            Token token;
            std::int32_t previous;  // index of the neighbour, -1: none
            std::int32_t next;
        };
        struct Candidate {
            std::uint32_t rank;
            std::int32_t position;
            Token left;
            Token right;
            Token merged;
        };
        std::vector<Symbol> symbols_;
        std::vector<Candidate> heap_;
    };

    explicit Bpe(BpeModel model);

    /// Appends the tokens of `word` (raw bytes, any length below 2^31) to `out`. Errors:
    /// invalid_argument when a byte has no token and there is no `unknown`; `out` may have grown.
    Status encode(std::string_view word, Workspace& workspace, std::vector<Token>& out) const;

private:
    struct Slot {
        std::uint64_t pair = kEmptyPair;
        std::uint32_t rank = 0;
        Token merged = 0;
    };
    static constexpr std::uint64_t kEmptyPair = ~std::uint64_t{0};

    static std::uint64_t pair_key(Token left, Token right);
    std::size_t first_slot(std::uint64_t pair) const;
    const Slot* find_merge(Token left, Token right) const;
    void insert_merge(const BpeMerge& merge, std::uint32_t rank);
    Status split_bytes(std::string_view word, Workspace& workspace) const;
    void add_candidate(std::int32_t position, Workspace& workspace) const;
    void merge_all(Workspace& workspace) const;

    BpeModel model_;
    std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
    std::uint64_t slot_mask_ = 0;
};

}  // namespace molink
