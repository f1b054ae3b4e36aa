#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include <molink/status.h>

namespace molink::test {

/// Memory that is mapped twice: once without any access, which gives the addresses that others
/// see, and once for the device itself. Thread: any.
class ForeignMemory {
public:
    explicit ForeignMemory(std::int64_t bytes);
    ~ForeignMemory();
    ForeignMemory(const ForeignMemory&) = delete;
    ForeignMemory& operator=(const ForeignMemory&) = delete;

    /// Returns an address of the device; its bytes are 0xff. `device` names the device in the
    /// error. Errors: resource_exhausted.
    Result<void*> allocate(std::size_t bytes, const std::string& device);
    void free(void* address);
    /// Counts bytes that are used outside allocations, as by packed matrices. Errors: as
    /// allocate().
    Status reserve(std::int64_t bytes, const std::string& device);
    void unreserve(std::int64_t bytes);
    std::int64_t free_bytes() const;

    /// Returns the device's own pointer to `address`, or nullptr unless [address, address + bytes)
    /// lies in one allocation.
    void* inside(const void* address, std::size_t bytes) const;

private:
    Status check(std::int64_t bytes, const std::string& device) const;

    const std::int64_t total_;
    std::size_t mapped_ = 0;
    std::byte* outside_ = nullptr;
    std::byte* inside_ = nullptr;
    mutable std::mutex mutex_;
    std::map<std::size_t, std::size_t> blocks_;  // offset: bytes
    std::int64_t used_ = 0;
};

}  // namespace molink::test
