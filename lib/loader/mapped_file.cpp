// Read-only memory maps of model files. With a map a stage reads only its own layers, and the nodes
// of a host share one copy of a file. Files are opened without blocking, so that a pipe is refused
// instead of waited for. Relies on POSIX mmap and madvise.
#include "loader/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/page_size.h"

namespace molink {
namespace {

Status open_error(const std::string& path, int error) {
    const std::string reason = std::generic_category().message(error);
    const StatusCode code = error == ENOENT || error == ENOTDIR ? StatusCode::not_found
                            : error == ENOMEM || error == EMFILE || error == ENFILE
                                ? StatusCode::resource_exhausted
                                : StatusCode::unavailable;
    return make_error(code, "open {}: {}", path, reason);
}

}  // namespace

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    if (this == &other) return *this;
    close();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
}

MappedFile::~MappedFile() {
    close();
}

void MappedFile::close() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
    data_ = nullptr;
    size_ = 0;
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
    MappedFile file;
    file.path_ = path.string();
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return open_error(file.path_, errno);
    struct ::stat info = {};
    if (::fstat(descriptor, &info) != 0) {
        const int error = errno;
        ::close(descriptor);
        return open_error(file.path_, error);
    }
    if (!S_ISREG(info.st_mode)) {
        ::close(descriptor);
        return invalid_argument("open {}: it is not a regular file", file.path_);
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (size == 0) {
        ::close(descriptor);
        return file;
    }
    if (size > static_cast<std::uint64_t>(std::numeric_limits<std::ptrdiff_t>::max())) {
        ::close(descriptor);
        return make_error(StatusCode::resource_exhausted,
                          "map {}: {} bytes do not fit in the address space", file.path_, size);
    }
    void* data =
        ::mmap(nullptr, static_cast<std::size_t>(size), PROT_READ, MAP_SHARED, descriptor, 0);
    const int error = errno;
    ::close(descriptor);
    if (data == MAP_FAILED) {
        return make_error(StatusCode::resource_exhausted, "map {} ({} bytes): {}", file.path_, size,
                          std::generic_category().message(error));
    }
    file.data_ = static_cast<const std::byte*>(data);
    file.size_ = static_cast<std::size_t>(size);
    return file;
}

void MappedFile::advise(std::size_t offset, std::size_t count, int advice) const {
    if (offset >= size_ || count == 0) return;
    count = std::min(count, size_ - offset);
    const std::size_t begin = offset - offset % page_size();
    ::madvise(const_cast<std::byte*>(data_) + begin, offset + count - begin, advice);
}

void MappedFile::will_need(std::size_t offset, std::size_t count) const {
    advise(offset, count, MADV_WILLNEED);
}

// Releases all pages that overlap the range. The map is a read-only file, so a page that is still
// needed is read again and no data is lost.
void MappedFile::dont_need(std::size_t offset, std::size_t count) const {
    advise(offset, count, MADV_DONTNEED);
}

}  // namespace molink
