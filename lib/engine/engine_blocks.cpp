// Who holds which KV blocks: admission, the prefix cache, preemption. A block enters the cache when
// every stage has computed all of its positions, never before; a preempted sequence gives its
// blocks back and is computed anew, mostly from the cache. Relies on plan_check having compared
// what a plan needs with what is free.
#include <algorithm>

#include "base/canary.h"
#include "base/limits.h"
#include "engine/engine_core.h"

namespace molink {

std::int32_t EngineCore::blocks_for(std::int32_t positions) const {
    return (positions + options_.block_tokens - 1) / options_.block_tokens;
}

void EngineCore::refresh_need(Sequence& sequence) const {
    SequenceView& view = sequence.view;
    const auto held = static_cast<std::int32_t>(sequence.blocks.size());
    view.blocks_held = held;
    switch (view.state) {
        case SequenceState::waiting: view.blocks_needed = blocks_for(view.prompt_tokens); return;
        case SequenceState::decodable:
            view.blocks_needed = blocks_for(view.scheduled + 1) - held;
            return;
        case SequenceState::prefilling:
        case SequenceState::in_flight:
        case SequenceState::finished: view.blocks_needed = 0; return;
    }
}

void EngineCore::look_up_prefixes() {
    if (!options_.prefix_cache) return;
    for (SequenceId id : looked_up_) {  // one may wait behind others again, with what was once true
        Sequence* sequence = find(id);
        if (sequence == nullptr || sequence->view.state != SequenceState::waiting) continue;
        sequence->view.scheduled = 0;
        refresh_need(*sequence);
    }
    looked_up_.clear();
    const auto waiting = waiting_.span();
    for (std::size_t i = 0; i < std::min(waiting.size(), limits::kPrefixLookahead); ++i) {
        look_up_prefix(*find(waiting[i]->id));
        looked_up_.push_back(waiting[i]->id);
    }
}

void EngineCore::look_up_prefix(Sequence& sequence) const {
    SequenceView& view = sequence.view;
    const auto block = static_cast<std::size_t>(options_.block_tokens);
    // The last position is always computed: its logits give the next token.
    const auto most = static_cast<std::size_t>(view.prompt_tokens - 1) / block;
    PrefixIndex::Key key = PrefixIndex::kRoot;
    std::int32_t hits = 0;
    std::int32_t in_use = 0;
    for (std::size_t i = 0; i < most; ++i) {
        const auto found =
            prefixes_.find(key, std::span(sequence.tokens).subspan(i * block, block));
        if (!found) break;
        key = found->key;
        ++hits;
        if (pool_.references(found->block) > 0) ++in_use;
    }
    view.scheduled = hits * options_.block_tokens;
    view.blocks_needed = blocks_for(view.prompt_tokens) - in_use;
}

void EngineCore::share_prefix(Sequence& sequence) {
    const auto block = static_cast<std::size_t>(options_.block_tokens);
    const auto most = static_cast<std::size_t>(sequence.view.prompt_tokens - 1) / block;
    for (std::size_t i = 0; options_.prefix_cache && i < most; ++i) {
        const auto found = prefixes_.find(sequence.prefix_key,
                                          std::span(sequence.tokens).subspan(i * block, block));
        if (!found) break;
        pool_.share(found->block);
        sequence.blocks.push_back(found->block);
        sequence.prefix_key = found->key;
        ++sequence.published;
    }
    sequence.retired = sequence.published * options_.block_tokens;
    sequence.view.scheduled = sequence.retired;
}

void EngineCore::admit(Sequence& sequence) {
    SequenceView& view = sequence.view;
    waiting_.remove(&view);
    prefilling_.push_back(&view);
    view.state = SequenceState::prefilling;
    share_prefix(sequence);
    counters_.prefix_query_tokens += static_cast<std::uint64_t>(view.prompt_tokens);
    if (view.scheduled > 0) ++counters_.prefix_hits;
    counters_.prefix_hit_tokens += static_cast<std::uint64_t>(view.scheduled);
    if (!sequence.admitted_once) {
        sequence.cached_tokens = view.scheduled;
        sequence.admitted_once = true;
    }
    sequence.wire_id = SequenceId(next_wire_id_++);
    sequence.reserved_left =
        blocks_for(view.prompt_tokens) - static_cast<std::int32_t>(sequence.blocks.size());
    pool_.reserve(sequence.reserved_left);
    refresh_need(sequence);
    ++running_;
}

void EngineCore::preempt(Sequence& sequence) {
    SequenceView& view = sequence.view;
    leave_queues(sequence);
    give_back_blocks(sequence);
    if (sequence.opened) releases_.push_back(sequence.wire_id);
    sequence.opened = false;
    sequence.retired = sequence.published = 0;
    sequence.prefix_key = PrefixIndex::kRoot;
    view.state = SequenceState::waiting;
    view.prompt_tokens = static_cast<std::int32_t>(sequence.tokens.size());
    view.scheduled = 0;
    refresh_need(sequence);
    waiting_.insert_before(&view, [&](const SequenceView& other) {
        return other.arrival_us > view.arrival_us ||
               (other.arrival_us == view.arrival_us && other.id > view.id);
    });
    --running_;
    ++counters_.preemptions;
}

void EngineCore::publish_blocks(Sequence& sequence, std::int32_t positions) {
    if (!options_.prefix_cache) return;
    const auto block = static_cast<std::size_t>(options_.block_tokens);
    while ((sequence.published + 1) * options_.block_tokens <= positions) {
        const auto i = static_cast<std::size_t>(sequence.published);
        const auto tokens = std::span(sequence.tokens).subspan(i * block, block);
        const BlockId own = sequence.blocks[i];
        const auto entered = prefixes_.publish(sequence.prefix_key, tokens, own);
        if (entered.block == own) pool_.keep(own);
        sequence.prefix_key = entered.key;
        ++sequence.published;
    }
}

void EngineCore::give_back_blocks(Sequence& sequence) {
    // From the end, so that the cache loses the ends of prompts before their beginnings.
    for (auto block = sequence.blocks.rbegin(); block != sequence.blocks.rend(); ++block) {
        const Status released = pool_.release(*block);
        if (!released.ok()) log_(LogLevel::error, "{}", released.message());
    }
    sequence.blocks.clear();
    pool_.cancel_reservation(sequence.reserved_left);
    sequence.reserved_left = 0;
}

}  // namespace molink
