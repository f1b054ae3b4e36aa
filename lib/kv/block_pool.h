#pragma once

#include <cstdint>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// Accounts for the KV blocks of an epoch. An id means the same block on every stage. The pool
/// holds no device memory. A block is free, held by one or more holders (reference count), or idle.
/// An idle block has no holder, but is kept for the prefix cache until its memory is needed. All
/// blocks of a prompt are reserved together and allocated later, so that a prefill under way never
/// lacks a block. Thread: the head's loop.
class BlockPool {
public:
    explicit BlockPool(std::int64_t block_count = 0);

    std::int64_t total() const { return static_cast<std::int64_t>(references_.size()); }
    /// Blocks that are neither held nor reserved, including idle ones.
    std::int64_t available() const { return free_count() + idle_count_ - reserved_; }
    std::int64_t free_count() const { return static_cast<std::int64_t>(free_.size()); }
    std::int64_t idle_count() const { return idle_count_; }
    std::uint32_t references(BlockId block) const { return references_[block.value]; }

    /// Reserves `count` blocks. Returns false and changes nothing when fewer are available.
    bool reserve(std::int64_t count);
    /// Cancels the reservation of `count` blocks.
    void cancel_reservation(std::int64_t count);

    struct Allocated {
        BlockId block;
        bool evicted = false;  ///< it was idle; the prefix cache must forget it
    };
    /// Allocates one reserved block with reference count 1: a free block, or otherwise the one that
    /// was idle for longest. The caller must have a reservation.
    Allocated allocate();
    /// Adds a holder to a block that is held or idle.
    void share(BlockId block);
    /// Makes a held block become idle instead of free when its last holder releases it.
    void keep(BlockId block);
    /// Removes a holder. Errors: internal when the block has no holder.
    Status release(BlockId block);
    /// Checks the invariants: every block is exactly once free, idle or referenced, and `holders`
    /// [blocks] equals the reference counts. Errors: internal with the id.
    Status check(const std::vector<std::uint32_t>& holders) const;

private:
    static constexpr std::uint32_t kNone = ~std::uint32_t{0};
    struct Place {
        std::uint32_t before = kNone;
        std::uint32_t after = kNone;
    };

    void append_idle(std::uint32_t id);
    void remove_idle(std::uint32_t id);
    Status check_idle(std::vector<bool>& seen) const;

    std::vector<std::uint32_t> free_;        // ids, used from the back
    std::vector<std::uint32_t> references_;  // by id
    std::vector<bool> kept_;                 // by id
    std::vector<Place> places_;              // by id; links of the list of idle blocks
    std::uint32_t oldest_idle_ = kNone;
    std::uint32_t newest_idle_ = kNone;
    std::int64_t idle_count_ = 0;
    std::int64_t reserved_ = 0;
};

}  // namespace molink
