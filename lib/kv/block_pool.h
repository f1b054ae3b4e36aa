#pragma once

#include <cstdint>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// Accounts for the KV blocks of an epoch; the ids mean the same on every stage. Holds no device
/// memory. A block is free, held by one or more holders (reference count), or idle: held by nobody,
/// but kept for the prefix cache until its memory is needed. A prompt's blocks are reserved at
/// once and allocated later, so that a prefill under way never lacks a block. Thread: the head's
/// loop.
class BlockPool {
public:
    explicit BlockPool(std::int64_t block_count = 0);

    std::int64_t total() const { return static_cast<std::int64_t>(references_.size()); }
    /// Neither held nor reserved; idle blocks count.
    std::int64_t available() const { return free_count() + idle_count_ - reserved_; }
    std::int64_t free_count() const { return static_cast<std::int64_t>(free_.size()); }
    std::int64_t idle_count() const { return idle_count_; }
    std::uint32_t references(BlockId block) const { return references_[block.value]; }

    /// Promises `count` blocks; false (and nothing changes) when fewer are available.
    bool reserve(std::int64_t count);
    /// Gives back promises that were not used.
    void cancel_reservation(std::int64_t count);

    struct Allocated {
        BlockId block;
        bool evicted = false;  ///< it was idle: the prefix cache must forget it
    };
    /// Allocates one reserved block, with reference count 1: a free one, else the one that has been
    /// idle for longest. The caller holds a reservation.
    Allocated allocate();
    /// One more holder of a block that is held or idle.
    void share(BlockId block);
    /// When the last holder goes the block becomes idle instead of free. The block is held.
    void keep(BlockId block);
    /// One holder less. Errors: internal when nobody holds the block.
    Status release(BlockId block);
    /// Self-check: every block is free once, idle once or referenced; and `holders` [blocks] equals
    /// the reference counts. Errors: internal with the id.
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
    std::vector<Place> places_;              // by id, in the list of idle blocks
    std::uint32_t oldest_idle_ = kNone;
    std::uint32_t newest_idle_ = kNone;
    std::int64_t idle_count_ = 0;
    std::int64_t reserved_ = 0;
};

}  // namespace molink
