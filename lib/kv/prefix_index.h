#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include <molink/types.h>

namespace molink {

/// Maps beginnings of prompts to blocks. Entries form chains: an entry has the tokens of one full
/// block and the key of the entry before it, so equal beginnings share entries. Entries are found
/// by hash and then compared token by token. Thread: the head's loop.
class PrefixIndex {
public:
    /// Names an entry. Keys are never reused. kRoot is the empty beginning.
    using Key = std::uint64_t;
    static constexpr Key kRoot = 0;

    struct Found {
        Key key = kRoot;
        BlockId block;
    };

    /// Returns the block with these tokens after `parent`, or nothing if there is none.
    std::optional<Found> find(Key parent, std::span<const Token> tokens) const;
    /// Adds a full block whose content every stage has. If there is an equal entry, that one stays
    /// and `block` is not added. Returns the key and the block of the entry.
    Found publish(Key parent, std::span<const Token> tokens, BlockId block);
    /// Removes the entry of `block`, if it has one, because its content changes.
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
