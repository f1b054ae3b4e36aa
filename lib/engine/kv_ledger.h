#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <molink/metrics.h>
#include <molink/status.h>

#include "engine/sequence.h"
#include "kv/block_pool.h"
#include "kv/prefix_index.h"

namespace molink {

/// Who holds which KV blocks: prefix cache, reservations, allocation. Invariant (check()): a block
/// is free, cached, or held by the sequences that list it; promises equal the sequences'
/// reservations. A block is published for the prefix cache only when every stage has computed all
/// of its positions. Thread: the head's loop.
class KvLedger {
public:
    KvLedger(std::int32_t block_tokens, bool prefix_cache)
        : block_tokens_(block_tokens), prefix_cache_(prefix_cache) {}

    /// An epoch begins: all `blocks` are free, nothing is cached.
    void begin(std::int64_t blocks);

    std::int32_t block_tokens() const { return block_tokens_; }
    std::int32_t blocks_for(std::int32_t positions) const;
    std::int64_t total() const { return pool_.total(); }
    /// Neither held nor promised; cached blocks that nobody holds count.
    std::int64_t available() const { return pool_.available(); }

    /// Brings `blocks_held` and `blocks_needed` of a sequence's view up to date with its state.
    void refresh_need(Sequence& sequence) const;
    /// Looks up the prefixes of the first waiting sequences for the plan to come: their views show
    /// what the cache would spare them. `find` gives the sequence of an id, or null.
    void look_up_prefixes(std::span<const SequenceView* const> waiting,
                          const std::function<Sequence*(SequenceId)>& find);

    /// Gives an admitted sequence the blocks of its prefix that are cached, and reserves those of
    /// the rest of its prompt. Relies on plan_check having compared them with what is available.
    void admit(Sequence& sequence);
    /// Allocates until the sequence's blocks hold positions [0, end). Returns the new ones.
    std::vector<BlockId> extend(Sequence& sequence, std::int32_t end);
    /// Publishes the full blocks within the first `positions` positions.
    void publish(Sequence& sequence, std::int32_t positions);
    /// Gives back all blocks and reservations. Errors: internal when a block was not held.
    Status release(Sequence& sequence);

    void fill_metrics(MetricsSnapshot& metrics) const;
    /// Self-check against all sequences that there are. Errors: internal with the numbers.
    Status check(std::span<const Sequence* const> sequences) const;

private:
    void look_up_prefix(Sequence& sequence) const;
    std::size_t cacheable_blocks(const Sequence& sequence) const;
    std::span<const Token> tokens_of_block(const Sequence& sequence, std::size_t index) const;
    BlockId allocate(Sequence& sequence);

    std::int32_t block_tokens_;
    bool prefix_cache_;
    BlockPool pool_;
    PrefixIndex prefixes_;
    std::vector<SequenceId> looked_up_;  // waiting ones whose view shows a prefix
    std::uint64_t prefix_hits_ = 0;
    std::uint64_t prefix_query_tokens_ = 0;
    std::uint64_t prefix_hit_tokens_ = 0;
};

}  // namespace molink
