#pragma once

#include <cstdint>
#include <vector>

#include <molink/status.h>
#include <molink/types.h>

namespace molink {

/// Accounts for the KV blocks of an epoch; the ids mean the same on every stage. No device memory.
/// A sequence first reserves what it may need at most, then takes blocks out of its reservation as
/// it grows, so that a running sequence never lacks a block. Blocks carry reference counts. Thread:
/// the head's loop.
class BlockPool {
public:
    explicit BlockPool(std::int64_t block_count = 0);

    std::int64_t total() const { return static_cast<std::int64_t>(references_.size()); }
    /// Neither held nor reserved.
    std::int64_t available() const { return free_count() - reserved_; }
    std::int64_t free_count() const { return static_cast<std::int64_t>(free_.size()); }

    /// Promises `count` blocks; false (and nothing changes) when fewer are available.
    bool reserve(std::int64_t count);
    /// Gives back a promise that was not taken up.
    void cancel_reservation(std::int64_t count);
    /// Takes one block out of a reservation, reference count 1. The caller holds a reservation.
    BlockId take();
    /// One more holder of a block.
    void share(BlockId block);
    /// One holder less; the last one frees it. Errors: internal when the block is free already.
    Status release(BlockId block);
    /// Self-check: every block is either free once or referenced. Errors: internal with the id.
    Status check() const;

private:
    std::vector<std::uint32_t> free_;        // ids, used from the back
    std::vector<std::uint32_t> references_;  // by id
    std::int64_t reserved_ = 0;
};

}  // namespace molink
