#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>

#include "backend/backend.h"

namespace molink {

/// Makes KV pages resident before parts write to them. A page that is first touched by a part costs
/// that part a page fault, milliseconds for each huge page on a virtual machine, and every sequence
/// takes a new block after as many tokens: all would wait at once. Blocks are dealt from the lowest
/// on, so what comes next lies beyond the highest in use.
class KvPrefault {
public:
    /// `buffers`, one per layer, hold `blocks` blocks each, of a size of their own, and must
    /// outlive it. `ahead`: blocks that the next parts may take at most.
    KvPrefault(std::span<const std::unique_ptr<DeviceBuffer>> buffers, std::uint64_t blocks,
               std::uint64_t ahead);
    /// Ends its thread, after the piece under way.
    ~KvPrefault();

    /// A sequence has taken this block. Thread: the stage's compute thread. Never waits.
    void used(std::uint32_t block);

private:
    void run(std::span<const std::unique_ptr<DeviceBuffer>> buffers);

    const std::uint64_t blocks_;
    const std::uint64_t ahead_;
    std::atomic<std::uint64_t> wanted_;  // blocks from the lowest on; kEnd: no more
    std::thread thread_;
};

}  // namespace molink
