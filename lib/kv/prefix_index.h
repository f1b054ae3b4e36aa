#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include <molink/types.h>

namespace molink {

/// Which blocks hold which beginnings of prompts. A chain: an entry is the tokens of one full block
/// after the chain of blocks before it, so equal beginnings share entries. Found by hash, compared
/// token by token: a hit is never a guess. Thread: the head's loop.
class PrefixIndex {
public:
    /// A place in a chain, never reused; kRoot is the empty beginning.
    using Key = std::uint64_t;
    static constexpr Key kRoot = 0;

    struct Found {
        Key key = kRoot;
        BlockId block;
    };

    /// The block whose tokens follow `parent`; nothing when there is none.
    std::optional<Found> find(Key parent, std::span<const Token> tokens) const;
    /// Enters a full block whose content every stage has. When an equal entry is there already,
    /// that one stays and `block` is not entered. Returns the entry's key and block.
    Found publish(Key parent, std::span<const Token> tokens, BlockId block);
    /// `block` gets another content. Nothing happens when it was not entered.
    void forget(BlockId block);
    void clear();
    std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        Key key = kRoot;
        Key parent = kRoot;
        std::uint64_t hash = 0;
        std::vector<Token> tokens;
    };
    static std::uint64_t hash_of(Key parent, std::span<const Token> tokens);

    std::unordered_map<BlockId, Entry> entries_;
    std::unordered_multimap<std::uint64_t, BlockId> by_hash_;
    Key next_key_ = kRoot + 1;
};

}  // namespace molink
