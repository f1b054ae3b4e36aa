#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include <molink/status.h>

#include "base/bytes.h"

namespace molink {

/// A file mapped read-only into memory. Move-only; the destructor unmaps. Pages are read when
/// touched. A file that another program shortens while it is mapped faults on access; replace files
/// by renaming. Thread: const members from any thread.
class MappedFile {
public:
    MappedFile() = default;
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    /// Maps the regular file `path`; an empty one gives size() == 0. Errors: not_found, unavailable
    /// (may not be read), invalid_argument (not a regular file), resource_exhausted; each names the
    /// path.
    static Result<MappedFile> open(const std::filesystem::path& path);

    const std::string& path() const { return path_; }
    std::size_t size() const { return size_; }
    const std::byte* data() const { return data_; }
    ByteSpan bytes() const { return {data_, size_}; }

    /// Asks the kernel to read [offset, offset + count) soon. Clamped to the file; a hint that may
    /// be ignored.
    void will_need(std::size_t offset, std::size_t count) const;
    /// Gives the pages of [offset, offset + count) back; they are read again when touched. Clamped.
    void dont_need(std::size_t offset, std::size_t count) const;

private:
    void advise(std::size_t offset, std::size_t count, int advice) const;
    void close();

    std::string path_;
    const std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace molink
