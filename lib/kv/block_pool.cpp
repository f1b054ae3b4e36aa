// Block accounting on the head. Free ids form a stack, so that recently used pages stay in CPU
// caches. Idle blocks form a list that begins with the one that was idle for longest, so that the
// prefix cache evicts blocks in that order. Relies on being called from one thread.
#include "kv/block_pool.h"

#include <cassert>

#include "base/error.h"

namespace molink {

BlockPool::BlockPool(std::int64_t block_count)
    : references_(static_cast<std::size_t>(block_count), 0),
      kept_(references_.size(), false),
      places_(references_.size()) {
    free_.reserve(references_.size());
    for (std::size_t i = references_.size(); i > 0; --i) {
        free_.push_back(static_cast<std::uint32_t>(i - 1));
    }
}

bool BlockPool::reserve(std::int64_t count) {
    if (count < 0 || count > available()) return false;
    reserved_ += count;
    return true;
}

void BlockPool::cancel_reservation(std::int64_t count) {
    assert(count >= 0 && count <= reserved_);
    reserved_ -= count;
}

BlockPool::Allocated BlockPool::allocate() {
    assert(reserved_ > 0 && free_.size() + static_cast<std::size_t>(idle_count_) > 0);
    --reserved_;
    Allocated allocated;
    allocated.evicted = free_.empty();
    std::uint32_t id = oldest_idle_;
    if (allocated.evicted) {
        remove_idle(id);
        kept_[id] = false;
    } else {
        id = free_.back();
        free_.pop_back();
    }
    references_[id] = 1;
    allocated.block = BlockId(id);
    return allocated;
}

void BlockPool::share(BlockId block) {
    assert(block.value < references_.size());
    if (references_[block.value]++ > 0) return;
    assert(kept_[block.value]);
    remove_idle(block.value);
}

void BlockPool::keep(BlockId block) {
    assert(block.value < references_.size() && references_[block.value] > 0);
    kept_[block.value] = true;
}

Status BlockPool::release(BlockId block) {
    if (block.value >= references_.size() || references_[block.value] == 0) {
        return make_error(StatusCode::internal, "release KV block {} of {}: no sequence holds it",
                          block.value, references_.size());
    }
    if (--references_[block.value] > 0) return {};
    if (kept_[block.value]) {
        append_idle(block.value);
    } else {
        free_.push_back(block.value);
    }
    return {};
}

void BlockPool::append_idle(std::uint32_t id) {
    places_[id] = {newest_idle_, kNone};
    (newest_idle_ == kNone ? oldest_idle_ : places_[newest_idle_].after) = id;
    newest_idle_ = id;
    ++idle_count_;
}

void BlockPool::remove_idle(std::uint32_t id) {
    const Place place = places_[id];
    (place.before == kNone ? oldest_idle_ : places_[place.before].after) = place.after;
    (place.after == kNone ? newest_idle_ : places_[place.after].before) = place.before;
    places_[id] = {};
    --idle_count_;
}

Status BlockPool::check_idle(std::vector<bool>& seen) const {
    std::int64_t count = 0;
    for (std::uint32_t id = oldest_idle_; id != kNone; id = places_[id].after) {
        if (seen[id] || references_[id] != 0 || !kept_[id]) {
            return make_error(
                StatusCode::internal,
                "KV block {} of {} is listed as idle, but is also free, held or not kept", id,
                references_.size());
        }
        seen[id] = true;
        ++count;
    }
    if (count == idle_count_) return {};
    return make_error(StatusCode::internal, "{} KV blocks are listed as idle; the counter says {}",
                      count, idle_count_);
}

Status BlockPool::check(const std::vector<std::uint32_t>& holders) const {
    std::vector<bool> seen(references_.size(), false);
    for (std::uint32_t id : free_) {
        if (id >= references_.size() || seen[id] || references_[id] != 0) {
            return make_error(StatusCode::internal,
                              "KV block {} of {} is listed as free twice, or is still held", id,
                              references_.size());
        }
        seen[id] = true;
    }
    MOLINK_RETURN_IF_ERROR(check_idle(seen));
    for (std::size_t id = 0; id < references_.size(); ++id) {
        if (!seen[id] && references_[id] == 0) {
            return make_error(StatusCode::internal,
                              "KV block {} of {} is neither free, idle nor held", id,
                              references_.size());
        }
        if (holders.size() != references_.size() || holders[id] != references_[id]) {
            return make_error(
                StatusCode::internal, "KV block {} of {} has {} references; {} sequences hold it",
                id, references_.size(), references_[id], id < holders.size() ? holders[id] : 0);
        }
    }
    if (reserved_ < 0 || available() < 0) {
        return make_error(StatusCode::internal,
                          "{} KV blocks are reserved; {} are free and {} are idle", reserved_,
                          free_count(), idle_count_);
    }
    return {};
}

}  // namespace molink
