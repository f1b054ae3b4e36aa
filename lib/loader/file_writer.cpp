// Writes files so that a reader never sees an incomplete one: they have temporary names in the same
// folder and are renamed at the end. A full disk is the most likely failure with models, so every
// error says how much was written, and unfinished files are removed. Relies on POSIX files.
#include "loader/file_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <system_error>
#include <utility>

#include "base/error.h"

namespace molink {

FileWriter::~FileWriter() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Status FileWriter::failed(std::string_view action, int error) const {
    const bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    return make_error(full ? StatusCode::resource_exhausted : StatusCode::unavailable,
                      "{} {} after {} bytes: {}", action, path_.string(), written_,
                      std::generic_category().message(error));
}

Status FileWriter::open() {
    descriptor_ =
        ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
    return descriptor_ >= 0 ? Status() : failed("create", errno);
}

Status FileWriter::write(ByteSpan bytes) {
    while (!bytes.empty()) {
        const ::ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed("write", errno);
        written_ += static_cast<std::uint64_t>(count);
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

Status FileWriter::close() {
    const int descriptor = std::exchange(descriptor_, -1);
    return ::close(descriptor) == 0 ? Status() : failed("close", errno);
}

FileSet::~FileSet() {
    for (const std::string& name : names_) {
        std::error_code ignored;
        std::filesystem::remove(temporary(name), ignored);
    }
}

std::filesystem::path FileSet::temporary(const std::string& name) const {
    return dir_ / (name + ".partial");
}

Status FileSet::add(const std::string& name, const std::function<Status(FileWriter&)>& fill) {
    FileWriter file(temporary(name));
    MOLINK_RETURN_IF_ERROR(file.open());
    names_.push_back(name);
    MOLINK_RETURN_IF_ERROR(fill(file));
    return file.close();
}

Status FileSet::add_text(const std::string& name, std::string_view text) {
    return add(name,
               [text](FileWriter& file) { return file.write(std::as_bytes(std::span(text))); });
}

Status FileSet::commit() {
    for (const std::string& name : names_) {
        std::error_code error;
        std::filesystem::rename(temporary(name), dir_ / name, error);
        if (error) {
            return make_error(StatusCode::unavailable, "rename {} to {}: {}",
                              temporary(name).string(), name, error.message());
        }
    }
    names_.clear();
    return {};
}

}  // namespace molink
