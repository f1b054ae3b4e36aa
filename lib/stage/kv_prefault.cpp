// Prefaults on a thread of its own, because the compute thread must not wait. It works in pieces of
// about one huge page per layer, in the order in which blocks are allocated. It stays only a little
// ahead of the blocks in use, so that it never takes all of the memory that a node may use.
#include "stage/kv_prefault.h"

#include <algorithm>
#include <limits>

#include "base/thread_start.h"

namespace molink {
namespace {

constexpr std::uint64_t kEnd = std::numeric_limits<std::uint64_t>::max();
constexpr std::size_t kPieceBytes = std::size_t{2} << 20;

}  // namespace

KvPrefault::KvPrefault(std::span<const std::unique_ptr<DeviceBuffer>> buffers, std::uint64_t blocks,
                       std::uint64_t ahead)
    : blocks_(blocks), ahead_(ahead), wanted_(std::min(blocks, ahead)) {
    thread_ = std::thread([this, buffers] { run(buffers); });
}

KvPrefault::~KvPrefault() {
    wanted_.store(kEnd);
    wanted_.notify_one();
    thread_.join();
}

void KvPrefault::used(std::uint32_t block) {
    const std::uint64_t wanted = std::min(blocks_, block + 1 + ahead_);
    if (wanted <= wanted_.load(std::memory_order_relaxed)) return;
    wanted_.store(wanted);
    wanted_.notify_one();
}

void KvPrefault::run(std::span<const std::unique_ptr<DeviceBuffer>> buffers) {
    begin_thread("molink-prefault");
    std::size_t largest = 1;  // bytes of the largest block
    for (const auto& buffer : buffers) largest = std::max(largest, buffer->bytes() / blocks_);
    const std::uint64_t piece = std::max<std::uint64_t>(kPieceBytes / largest, 1);
    std::uint64_t done = 0;
    for (std::uint64_t wanted = wanted_.load(); wanted != kEnd; wanted = wanted_.load()) {
        if (done >= wanted) {
            wanted_.wait(wanted);
            continue;
        }
        const std::uint64_t end = std::min(wanted, done + piece);
        for (const auto& buffer : buffers) {
            const std::size_t block_bytes = buffer->bytes() / blocks_;
            buffer->prefault(done * block_bytes, end * block_bytes);
        }
        done = end;
    }
}

}  // namespace molink
