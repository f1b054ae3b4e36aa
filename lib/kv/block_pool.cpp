// Block accounting on the head. A stack of free ids keeps recently used pages warm; reservations
// make admission the only place where memory can be refused. Relies on being called from one
// thread.
#include "kv/block_pool.h"

#include <cassert>

#include "base/error.h"

namespace molink {

BlockPool::BlockPool(std::int64_t block_count)
    : references_(static_cast<std::size_t>(block_count), 0) {
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

BlockId BlockPool::take() {
    assert(reserved_ > 0 && !free_.empty());
    --reserved_;
    const std::uint32_t id = free_.back();
    free_.pop_back();
    references_[id] = 1;
    return BlockId(id);
}

void BlockPool::share(BlockId block) {
    assert(block.value < references_.size() && references_[block.value] > 0);
    ++references_[block.value];
}

Status BlockPool::release(BlockId block) {
    if (block.value >= references_.size() || references_[block.value] == 0) {
        return make_error(StatusCode::internal, "release of KV block {} of {}: it is not held",
                          block.value, references_.size());
    }
    if (--references_[block.value] == 0) free_.push_back(block.value);
    return {};
}

Status BlockPool::check() const {
    std::vector<bool> seen(references_.size(), false);
    for (std::uint32_t id : free_) {
        if (id >= references_.size() || seen[id] || references_[id] != 0) {
            return make_error(StatusCode::internal, "KV block {} of {} is free twice or still held",
                              id, references_.size());
        }
        seen[id] = true;
    }
    for (std::size_t id = 0; id < references_.size(); ++id) {
        if (!seen[id] && references_[id] == 0) {
            return make_error(StatusCode::internal, "KV block {} of {} is lost", id,
                              references_.size());
        }
    }
    if (reserved_ < 0 || reserved_ > free_count()) {
        return make_error(StatusCode::internal, "{} KV blocks reserved, {} free", reserved_,
                          free_count());
    }
    return {};
}

}  // namespace molink
