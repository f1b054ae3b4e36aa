// The contents of the prefix cache. Keys are never reused. If the beginning of a chain is evicted,
// its key does not return, so the rest of the chain cannot be found by accident. Such orphans are
// forgotten when their own block is evicted.
#include "kv/prefix_index.h"

#include <algorithm>
#include <cassert>

#include "base/random.h"

namespace molink {

std::uint64_t PrefixIndex::hash_of(Key parent, std::span<const Token> tokens) {
    std::uint64_t hash = mix64(parent + 0x9e3779b97f4a7c15ull);
    for (Token token : tokens) hash = mix64(hash ^ static_cast<std::uint32_t>(token)) + hash * 31;
    return hash;
}

std::optional<PrefixIndex::Found> PrefixIndex::find(Key parent,
                                                    std::span<const Token> tokens) const {
    const auto [begin, end] = by_hash_.equal_range(hash_of(parent, tokens));
    for (auto it = begin; it != end; ++it) {
        const Entry& entry = entries_.at(it->second);
        if (entry.parent == parent &&
            std::equal(entry.tokens.begin(), entry.tokens.end(), tokens.begin(), tokens.end())) {
            return Found{entry.key, it->second};
        }
    }
    return std::nullopt;
}

PrefixIndex::Found PrefixIndex::publish(Key parent, std::span<const Token> tokens, BlockId block) {
    if (const auto found = find(parent, tokens)) return *found;
    forget(block);
    Entry entry;
    entry.key = next_key_++;
    entry.parent = parent;
    entry.hash = hash_of(parent, tokens);
    entry.tokens.assign(tokens.begin(), tokens.end());
    by_hash_.emplace(entry.hash, block);
    const Found found{entry.key, block};
    entries_[block] = std::move(entry);
    return found;
}

void PrefixIndex::forget(BlockId block) {
    const auto entry = entries_.find(block);
    if (entry == entries_.end()) return;
    const auto [begin, end] = by_hash_.equal_range(entry->second.hash);
    const auto found =
        std::find_if(begin, end, [&](const auto& item) { return item.second == block; });
    assert(found != end);
    by_hash_.erase(found);
    entries_.erase(entry);
    assert(entries_.size() == by_hash_.size());
}

void PrefixIndex::clear() {
    entries_.clear();
    by_hash_.clear();
}

}  // namespace molink
