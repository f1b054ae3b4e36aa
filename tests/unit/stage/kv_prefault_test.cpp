// Prefaulting makes KV pages resident before parts write to them.
#include "stage/kv_prefault.h"

#include <sys/mman.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "base/page_size.h"
#include "support/catch.h"

using namespace molink;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// Records the ranges that it is asked to prefault.
class Recorder final : public DeviceBuffer {
public:
    explicit Recorder(std::size_t bytes) : bytes_(bytes) {}
    void* data() override { return nullptr; }
    std::size_t bytes() const override { return bytes_; }
    void prefault(std::size_t begin, std::size_t end) override {
        const std::lock_guard lock(mutex_);
        ranges_.emplace_back(begin, end);
        signal_.notify_all();
    }

    /// Waits for a range that ends at `end` or later. Returns all ranges.
    std::vector<std::pair<std::size_t, std::size_t>> wait_for(std::size_t end) {
        std::unique_lock lock(mutex_);
        signal_.wait(lock, [&] { return !ranges_.empty() && ranges_.back().second >= end; });
        return ranges_;
    }

private:
    std::size_t bytes_;
    std::mutex mutex_;
    std::condition_variable signal_;
    std::vector<std::pair<std::size_t, std::size_t>> ranges_;
};

std::vector<std::unique_ptr<DeviceBuffer>> recorders(std::size_t layers, std::size_t bytes) {
    std::vector<std::unique_ptr<DeviceBuffer>> buffers;
    for (std::size_t i = 0; i < layers; ++i) buffers.push_back(std::make_unique<Recorder>(bytes));
    return buffers;
}

bool resident(void* data, std::size_t bytes) {
    std::vector<unsigned char> pages((bytes + page_size() - 1) / page_size());
    REQUIRE(::mincore(data, bytes, pages.data()) == 0);
    for (const unsigned char page : pages) {
        if ((page & 1) == 0) return false;
    }
    return true;
}

/// Returns whether the kernel has MADV_POPULATE_WRITE (Linux 5.14 and newer).
bool kernel_populates() {
#ifdef MADV_POPULATE_WRITE
    std::vector<unsigned char> memory(2 * page_size());
    const auto at = reinterpret_cast<std::uintptr_t>(memory.data());
    unsigned char* const page = memory.data() + (page_size() - at % page_size()) % page_size();
    return ::madvise(page, page_size(), MADV_POPULATE_WRITE) == 0;
#else
    return false;
#endif
}

}  // namespace

TEST_CASE("the blocks that may be used next are resident on every layer") {
    const auto buffers = recorders(2, 40 * kMiB);
    KvPrefault prefault(buffers, 40, 6);
    using Ranges = std::vector<std::pair<std::size_t, std::size_t>>;
    const Ranges first{{0, 2 * kMiB}, {2 * kMiB, 4 * kMiB}, {4 * kMiB, 6 * kMiB}};
    for (const auto& buffer : buffers) {
        CHECK(static_cast<Recorder&>(*buffer).wait_for(6 * kMiB) == first);
    }
    // Prefaulting follows the highest block in use. Lower blocks that are used again change
    // nothing.
    prefault.used(2);
    prefault.used(0);
    for (const auto& buffer : buffers) {
        CHECK(static_cast<Recorder&>(*buffer).wait_for(9 * kMiB).back().second == 9 * kMiB);
    }
    // It stops at the last block.
    prefault.used(39);
    for (const auto& buffer : buffers) {
        CHECK(static_cast<Recorder&>(*buffer).wait_for(40 * kMiB).back().second == 40 * kMiB);
    }
}

TEST_CASE("small blocks are prefaulted in pieces of a huge page") {
    const auto buffers = recorders(1, std::size_t{1'000'000} * 4096);
    const KvPrefault prefault(buffers, 1'000'000, 600);
    const auto ranges = static_cast<Recorder&>(*buffers[0]).wait_for(std::size_t{600} * 4096);
    CHECK(ranges.size() == 2);
    CHECK(ranges[0].second == 2 * kMiB);
}

TEST_CASE("memory of the CPU backend becomes resident and keeps its content") {
    const auto backend = open_device("cpu", 1);
    REQUIRE(backend);
    constexpr std::size_t kBytes = 8 * kMiB;
    const auto buffer = (*backend)->allocate(kBytes);
    REQUIRE(buffer);
    auto* const data = static_cast<unsigned char*>((*buffer)->data());
    std::memset(data, 7, 100);
    (*buffer)->prefault(50, kBytes + 12345);  // ends beyond the buffer
    (*buffer)->prefault(kBytes, kBytes);
    for (std::size_t i = 0; i < 100; ++i) CHECK(data[i] == 7);
    if (!kernel_populates()) {
        WARN("this kernel has no MADV_POPULATE_WRITE: pages become resident when first used");
        return;
    }
    CHECK(resident(data, kBytes));
}
