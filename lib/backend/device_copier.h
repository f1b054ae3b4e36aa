#pragma once

#include <cstddef>
#include <memory>

#include <molink/status.h>

#include "backend/backend.h"

namespace molink {

/// Copies between a device and host memory of any kind through a pinned buffer. A call returns when
/// its copy is done. For loading and for tests; parts use Stream::upload() and download().
class DeviceCopier {
public:
    /// Both must outlive this object.
    DeviceCopier(Backend& backend, Stream& stream) : backend_(backend), stream_(stream) {}

    /// Errors: resource_exhausted and those of Stream::wait().
    Status to_device(void* to, const void* from, std::size_t bytes);
    Status to_host(void* to, const void* from, std::size_t bytes);

private:
    Status reserve(std::size_t bytes);

    Backend& backend_;
    Stream& stream_;
    std::unique_ptr<PinnedBuffer> piece_;
};

}  // namespace molink
