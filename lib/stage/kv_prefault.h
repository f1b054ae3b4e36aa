#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <thread>

#include "backend/backend.h"

namespace molink {

/// Makes KV pages resident before parts write to them. Otherwise the first write to a page costs a
/// page fault, which takes milliseconds for each huge page on a virtual machine. Sequences that
/// started together need new blocks at the same time, so all of them would wait. Unused blocks are
/// allocated from the lowest id up, so the next ones follow the highest block in use.
class KvPrefault {
public:
    /// `buffers` [layers] hold `blocks` blocks each and must outlive this object. The size of a
    /// block may differ between layers. `ahead` is the maximum number of blocks that the next parts
    /// may take. Starts the thread.
    KvPrefault(std::span<const std::unique_ptr<DeviceBuffer>> buffers, std::uint64_t blocks,
               std::uint64_t ahead);
    /// Stops the thread after the piece under way.
    ~KvPrefault();

    /// Notes that a sequence uses `block`. Never waits. Thread: the stage's compute thread.
    void used(std::uint32_t block);

private:
    void run(std::span<const std::unique_ptr<DeviceBuffer>> buffers);

    const std::uint64_t blocks_;
    const std::uint64_t ahead_;
    std::atomic<std::uint64_t> wanted_;  // blocks to make resident, from block 0 up; kEnd: stop
    std::thread thread_;
};

}  // namespace molink
