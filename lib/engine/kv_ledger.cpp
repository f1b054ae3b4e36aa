// KV blocks of sequences. A prompt's blocks are reserved when it is admitted, so that a prefill
// under way never lacks one; a decoding sequence allocates block by block. A preempted sequence
// gives everything back and is computed again, mostly from the cache. Relies on plan_check having
// compared what a plan needs with what is available.
#include "engine/kv_ledger.h"

#include <algorithm>

#include "base/error.h"
#include "base/limits.h"
#include "kv/capacity.h"

namespace molink {

void KvLedger::begin(std::int64_t blocks) {
    pool_ = BlockPool(blocks);
    prefixes_.clear();
    looked_up_.clear();
}

std::int32_t KvLedger::blocks_for(std::int32_t positions) const {
    return static_cast<std::int32_t>(molink::blocks_for(positions, block_tokens_));
}

/// Full blocks of the prompt that the cache may hold. The last position is always computed, because
/// its logits give the next token.
std::size_t KvLedger::cacheable_blocks(const Sequence& sequence) const {
    if (!prefix_cache_) return 0;
    return static_cast<std::size_t>((sequence.view.prompt_tokens - 1) / block_tokens_);
}

std::span<const Token> KvLedger::tokens_of_block(const Sequence& sequence,
                                                 std::size_t index) const {
    const auto block = static_cast<std::size_t>(block_tokens_);
    return std::span(sequence.tokens).subspan(index * block, block);
}

void KvLedger::refresh_need(Sequence& sequence) const {
    SequenceView& view = sequence.view;
    view.blocks_held = static_cast<std::int32_t>(sequence.blocks.size());
    switch (view.state) {
        case SequenceState::waiting: view.blocks_needed = blocks_for(view.prompt_tokens); return;
        case SequenceState::decodable:
            // Rejected drafts may have left more than the next row needs.
            view.blocks_needed = std::max(blocks_for(view.scheduled + 1) - view.blocks_held, 0);
            return;
        case SequenceState::prefilling:
        case SequenceState::in_flight:
        case SequenceState::finished: view.blocks_needed = 0; return;
    }
}

void KvLedger::look_up_prefixes(std::span<const SequenceView* const> waiting,
                                const std::function<Sequence*(SequenceId)>& find) {
    if (!prefix_cache_) return;
    // One of them may wait behind others by now, with a view of what was once cached.
    for (SequenceId id : looked_up_) {
        Sequence* sequence = find(id);
        if (sequence == nullptr || sequence->view.state != SequenceState::waiting) continue;
        sequence->view.scheduled = 0;
        refresh_need(*sequence);
    }
    looked_up_.clear();
    for (const SequenceView* view :
         waiting.first(std::min(waiting.size(), limits::kPrefixLookahead))) {
        look_up_prefix(*find(view->id));
        looked_up_.push_back(view->id);
    }
}

void KvLedger::look_up_prefix(Sequence& sequence) const {
    PrefixIndex::Key key = PrefixIndex::kRoot;
    std::int32_t hits = 0;
    std::int32_t in_use = 0;
    for (std::size_t i = 0; i < cacheable_blocks(sequence); ++i) {
        const auto found = prefixes_.find(key, tokens_of_block(sequence, i));
        if (!found) break;
        key = found->key;
        ++hits;
        if (pool_.references(found->block) > 0) ++in_use;
    }
    sequence.view.scheduled = hits * block_tokens_;
    sequence.view.blocks_needed = blocks_for(sequence.view.prompt_tokens) - in_use;
}

void KvLedger::admit(Sequence& sequence) {
    SequenceView& view = sequence.view;
    for (std::size_t i = 0; i < cacheable_blocks(sequence); ++i) {
        const auto found = prefixes_.find(sequence.prefix_key, tokens_of_block(sequence, i));
        if (!found) break;
        pool_.share(found->block);
        sequence.blocks.push_back(found->block);
        sequence.prefix_key = found->key;
        ++sequence.published;
    }
    view.scheduled = sequence.published * block_tokens_;
    prefix_query_tokens_ += static_cast<std::uint64_t>(view.prompt_tokens);
    prefix_hit_tokens_ += static_cast<std::uint64_t>(view.scheduled);
    if (view.scheduled > 0) ++prefix_hits_;
    sequence.reserved_blocks =
        blocks_for(view.prompt_tokens) - static_cast<std::int32_t>(sequence.blocks.size());
    pool_.reserve(sequence.reserved_blocks);
    refresh_need(sequence);
}

BlockId KvLedger::allocate(Sequence& sequence) {
    if (sequence.reserved_blocks > 0) {
        --sequence.reserved_blocks;
    } else {
        pool_.reserve(1);
    }
    const BlockPool::Allocated allocated = pool_.allocate();
    if (allocated.evicted) prefixes_.forget(allocated.block);
    sequence.blocks.push_back(allocated.block);
    return allocated.block;
}

std::vector<BlockId> KvLedger::extend(Sequence& sequence, std::int32_t end) {
    std::vector<BlockId> new_blocks;
    while (static_cast<std::int32_t>(sequence.blocks.size()) * block_tokens_ < end) {
        new_blocks.push_back(allocate(sequence));
    }
    return new_blocks;
}

void KvLedger::publish(Sequence& sequence, std::int32_t positions) {
    if (!prefix_cache_) return;
    while ((sequence.published + 1) * block_tokens_ <= positions) {
        const auto i = static_cast<std::size_t>(sequence.published);
        const BlockId own = sequence.blocks[i];
        const auto entered =
            prefixes_.publish(sequence.prefix_key, tokens_of_block(sequence, i), own);
        if (entered.block == own) pool_.keep(own);
        sequence.prefix_key = entered.key;
        ++sequence.published;
    }
}

Status KvLedger::release(Sequence& sequence) {
    Status status;
    // From the end, so that the cache loses the ends of prompts before their beginnings.
    for (auto block = sequence.blocks.rbegin(); block != sequence.blocks.rend(); ++block) {
        const Status released = pool_.release(*block);
        if (!released.ok()) status = released;
    }
    sequence.blocks.clear();
    pool_.cancel_reservation(sequence.reserved_blocks);
    sequence.reserved_blocks = 0;
    sequence.published = 0;
    sequence.prefix_key = PrefixIndex::kRoot;
    return status;
}

void KvLedger::fill_metrics(MetricsSnapshot& metrics) const {
    metrics.kv_blocks_total = pool_.total();
    metrics.kv_blocks_free = pool_.available();
    metrics.kv_blocks_cached = pool_.idle_count();
    metrics.prefix_hits = prefix_hits_;
    metrics.prefix_query_tokens = prefix_query_tokens_;
    metrics.prefix_hit_tokens = prefix_hit_tokens_;
}

Status KvLedger::check(std::span<const Sequence* const> sequences) const {
    std::vector<std::uint32_t> holders(static_cast<std::size_t>(pool_.total()), 0);
    std::int64_t promised = 0;
    for (const Sequence* sequence : sequences) {
        for (BlockId block : sequence->blocks) ++holders[block.value];
        promised += sequence->reserved_blocks;
    }
    MOLINK_RETURN_IF_ERROR(pool_.check(holders));
    const std::int64_t available = pool_.free_count() + pool_.idle_count() - promised;
    if (available == pool_.available()) return {};
    return make_error(StatusCode::internal,
                      "{} KV blocks are promised to sequences, which leaves {}; the pool says {}",
                      promised, available, pool_.available());
}

}  // namespace molink
