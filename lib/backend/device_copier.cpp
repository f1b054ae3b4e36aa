// Synchronous copies from and to plain host memory. They go piece by piece through one pinned
// buffer, so that a large tensor is never held twice on the host. Parts do not use them, because
// each piece waits for the device.
#include "backend/device_copier.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace molink {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{4} << 20;

}  // namespace

Status DeviceCopier::reserve(std::size_t bytes) {
    const std::size_t wanted = std::min(bytes, kPieceBytes);
    if (piece_ != nullptr && piece_->bytes() >= wanted) return {};
    MOLINK_ASSIGN_OR_RETURN(piece_, backend_.allocate_host(wanted));
    return {};
}

Status DeviceCopier::to_device(void* to, const void* from, std::size_t bytes) {
    MOLINK_RETURN_IF_ERROR(reserve(bytes));
    for (std::size_t done = 0; done < bytes;) {
        const std::size_t now = std::min(bytes - done, piece_->bytes());
        std::memcpy(piece_->data(), static_cast<const std::byte*>(from) + done, now);
        stream_.upload(static_cast<std::byte*>(to) + done, piece_->data(), now);
        MOLINK_RETURN_IF_ERROR(stream_.wait(stream_.record()));
        done += now;
    }
    return {};
}

Status DeviceCopier::to_host(void* to, const void* from, std::size_t bytes) {
    MOLINK_RETURN_IF_ERROR(reserve(bytes));
    for (std::size_t done = 0; done < bytes;) {
        const std::size_t now = std::min(bytes - done, piece_->bytes());
        stream_.download(piece_->data(), static_cast<const std::byte*>(from) + done, now);
        MOLINK_RETURN_IF_ERROR(stream_.wait(stream_.record()));
        std::memcpy(static_cast<std::byte*>(to) + done, piece_->data(), now);
        done += now;
    }
    return {};
}

}  // namespace molink
