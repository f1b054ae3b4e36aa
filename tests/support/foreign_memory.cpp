// The memory of the foreign device: one file in memory with two mappings. The host's mapping never
// permits access, so that a host that dereferences an address of the device always faults, also
// while the device runs.
#include "support/foreign_memory.h"

#include <cstring>
#include <stdexcept>

#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

namespace molink::test {
namespace {

constexpr std::size_t kPage = 4096;

std::size_t whole_pages(std::size_t bytes) {
    return (bytes + kPage - 1) / kPage * kPage;
}

std::byte* map(std::size_t bytes, int protection, int file) {
    void* address = mmap(nullptr, bytes, protection, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (address == MAP_FAILED) throw std::runtime_error("mmap of a foreign device's memory failed");
    return static_cast<std::byte*>(address);
}

}  // namespace

ForeignMemory::ForeignMemory(std::int64_t bytes)
    : total_(bytes), mapped_(2 * whole_pages(static_cast<std::size_t>(bytes))) {
    const int file = memfd_create("foreign", 0);
    if (file < 0 || ftruncate(file, static_cast<off_t>(mapped_)) != 0) {
        throw std::runtime_error("memfd_create of a foreign device's memory failed");
    }
    outside_ = map(mapped_, PROT_NONE, file);
    inside_ = map(mapped_, PROT_READ | PROT_WRITE, file);
    close(file);
}

ForeignMemory::~ForeignMemory() {
    munmap(outside_, mapped_);
    munmap(inside_, mapped_);
}

Status ForeignMemory::check(std::int64_t bytes, const std::string& device) const {
    if (bytes <= total_ - used_) return {};
    return make_error(StatusCode::resource_exhausted,
                      "{}: {} bytes of memory are wanted; {} of {} are free", device, bytes,
                      total_ - used_, total_);
}

/// First fit, with a page between two blocks. Pages between blocks are not counted.
Result<void*> ForeignMemory::allocate(std::size_t bytes, const std::string& device) {
    const std::lock_guard lock(mutex_);
    MOLINK_RETURN_IF_ERROR(check(static_cast<std::int64_t>(bytes), device));
    std::size_t at = 0;
    for (const auto& [offset, size] : blocks_) {
        if (at + whole_pages(bytes) + kPage <= offset) break;
        at = offset + whole_pages(size) + kPage;
    }
    if (at + whole_pages(bytes) > mapped_) {
        return make_error(StatusCode::resource_exhausted, "{}: no free range of {} bytes is left",
                          device, bytes);
    }
    blocks_[at] = bytes;
    used_ += static_cast<std::int64_t>(bytes);
    std::memset(inside_ + at, 0xff, bytes);
    return static_cast<void*>(outside_ + at);
}

void ForeignMemory::free(void* address) {
    const std::lock_guard lock(mutex_);
    const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(address) - outside_);
    const std::size_t bytes = blocks_.at(offset);
    madvise(inside_ + offset, whole_pages(bytes), MADV_REMOVE);
    used_ -= static_cast<std::int64_t>(bytes);
    blocks_.erase(offset);
}

Status ForeignMemory::reserve(std::int64_t bytes, const std::string& device) {
    const std::lock_guard lock(mutex_);
    MOLINK_RETURN_IF_ERROR(check(bytes, device));
    used_ += bytes;
    return {};
}

void ForeignMemory::unreserve(std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    used_ -= bytes;
}

std::int64_t ForeignMemory::free_bytes() const {
    const std::lock_guard lock(mutex_);
    return total_ - used_;
}

void* ForeignMemory::inside(const void* address, std::size_t bytes) const {
    const std::lock_guard lock(mutex_);
    const auto* const at = static_cast<const std::byte*>(address);
    if (at < outside_ || at >= outside_ + mapped_) return nullptr;
    const auto offset = static_cast<std::size_t>(at - outside_);
    auto block = blocks_.upper_bound(offset);
    if (block == blocks_.begin()) return nullptr;
    --block;
    if (offset + bytes > block->first + block->second) return nullptr;
    return inside_ + offset;
}

}  // namespace molink::test
