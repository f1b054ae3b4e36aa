// Reads files that other programs may truncate, replace or write to at the same time. Every read is
// checked, and the identity of a file (device, inode, size, time of modification) tells whether
// bytes that were read at different times belong together. Relies on POSIX pread and fstat.
#include "base/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <system_error>
#include <utility>

#include "base/error.h"

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

FileIdentity identity_of(const struct ::stat& info) {
    FileIdentity identity;
    identity.device = static_cast<std::uint64_t>(info.st_dev);
    identity.inode = static_cast<std::uint64_t>(info.st_ino);
    identity.size = static_cast<std::uint64_t>(info.st_size);
    identity.modified_ns =
        static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec;
    return identity;
}

}  // namespace

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      identity_(other.identity_) {}

InputFile::~InputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Result<InputFile> InputFile::open(const std::filesystem::path& path) {
    InputFile file;
    file.path_ = path.string();
    file.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file.descriptor_ < 0) return open_error(file.path_, errno);
    struct ::stat info = {};
    if (::fstat(file.descriptor_, &info) != 0) return open_error(file.path_, errno);
    if (!S_ISREG(info.st_mode)) {
        return invalid_argument("open {}: it is not a regular file", file.path_);
    }
    file.identity_ = identity_of(info);
    return file;
}

Status InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
    constexpr auto kLastOffset =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (offset > kLastOffset || out.size() > kLastOffset - offset) {
        return make_error(StatusCode::data_loss, "read {}: {} bytes at offset {} are too far",
                          path_, out.size(), offset);
    }
    while (!out.empty()) {
        const ::ssize_t count =
            ::pread(descriptor_, out.data(), out.size(), static_cast<::off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            return make_error(StatusCode::data_loss, "read {}: {} bytes at offset {}: {}", path_,
                              out.size(), offset, std::generic_category().message(errno));
        }
        if (count == 0) {
            return make_error(
                StatusCode::data_loss,
                "read {}: it ends at byte {}, but {} bytes more are needed; it had {} bytes when "
                "it was opened, so it was truncated since",
                path_, offset, out.size(), identity_.size);
        }
        offset += static_cast<std::uint64_t>(count);
        out = out.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

void InputFile::will_need(std::uint64_t offset, std::uint64_t count) const {
    ::posix_fadvise(descriptor_, static_cast<::off_t>(offset), static_cast<::off_t>(count),
                    POSIX_FADV_WILLNEED);
}

Status InputFile::check_unchanged(const FileIdentity& before) const {
    struct ::stat info = {};
    if (::fstat(descriptor_, &info) != 0) return open_error(path_, errno);
    const FileIdentity now = identity_of(info);
    if (now == before) return {};
    const bool replaced = now.device != before.device || now.inode != before.inode;
    if (replaced) {
        return make_error(StatusCode::data_loss,
                          "read {}: another file took its place since it was opened (inode {} "
                          "instead of {}, {} bytes instead of {})",
                          path_, now.inode, before.inode, now.size, before.size);
    }
    if (now.size != before.size) {
        return make_error(StatusCode::data_loss,
                          "read {}: it has {} bytes now; it had {} when it was opened", path_,
                          now.size, before.size);
    }
    return make_error(StatusCode::data_loss,
                      "read {}: it was written to since it was opened (its time of modification "
                      "moved by {:.3f} s)",
                      path_, static_cast<double>(now.modified_ns - before.modified_ns) / 1e9);
}

Result<std::string> read_file_text(const std::filesystem::path& path, std::size_t max_bytes) {
    MOLINK_ASSIGN_OR_RETURN(const InputFile file, InputFile::open(path));
    if (file.size() > max_bytes) {
        return make_error(StatusCode::data_loss,
                          "read {}: it has {} bytes; at most {} are permitted", file.path(),
                          file.size(), max_bytes);
    }
    std::string text(static_cast<std::size_t>(file.size()), '\0');
    MOLINK_RETURN_IF_ERROR(file.read(0, std::as_writable_bytes(std::span(text))));
    MOLINK_RETURN_IF_ERROR(file.check_unchanged(file.identity()));
    return text;
}

}  // namespace molink
